"""Run a model up to a layer and stop there, differentiably with respect to its input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from camviz.engine.forward import call, named_failures
from camviz.hooks.capture import capture, watch
from camviz.hooks.devices import autocast
from camviz.models.outputs import forward
from camviz.models.survey import Survey
from camviz.tasks.classification import Classification
from camviz.types import Layer, Model


class _LayerReached(BaseException):
    """Unwind a forward pass at the layer; not an `Exception`, so that no `except` inside the model catches it."""


@contextmanager
def _until(module: nn.Module, path: str, runs: int) -> Iterator[None]:
    """End a forward pass in the block after the `runs`-th output of the layer at `path`."""
    left = runs

    def count(_path: str, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise _LayerReached

    try:
        with watch({path: module.get_submodule(path)}, count):
            yield
    except _LayerReached:
        pass


@dataclass(frozen=True, eq=False)
class Reader:
    """Compute the output of one layer, or the logits if `layer` is None, from inputs (n, c, H, W).

    `runs` is how often the layer runs in one forward pass; the last output is returned.
    """

    model: Model
    layer: Layer | None
    runs: int = 1
    precision: str = "fp32"

    @classmethod
    def at(cls, model: Model, layer: Layer | None, seen: Survey, precision: str = "fp32") -> Reader:
        """Return a reader of a surveyed layer."""
        runs = sum(record.path == layer.path for record in seen.layers) if layer else 0
        return cls(model, layer, runs, precision)

    def output(self, inputs: Tensor) -> Tensor:
        """Return the layer's output as the module returns it, in float32, or the logits (n, classes).

        Gradients flow if they are enabled.
        """
        module, device = self.model.module, inputs.device
        if not self.layer:
            with autocast(device, self.precision):
                return Classification(self.model.name).rows(call(self.model, inputs), len(inputs))
        path = self.layer.path
        recording = capture(module, [path], torch.is_grad_enabled())
        with named_failures(self.model, inputs), recording as outputs, autocast(device, self.precision):
            with _until(module, path, self.runs):  # nested, so that its hook runs after the recording one
                forward(self.model, inputs)
            return outputs[path].float()

    def maps(self, inputs: Tensor) -> Tensor:
        """Return the layer's output as maps (n, c, h, w)."""
        assert self.layer
        return self.layer.to_maps(self.output(inputs), (inputs.shape[2], inputs.shape[3]))
