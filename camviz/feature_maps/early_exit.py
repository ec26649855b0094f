"""A model run no further than the layers asked for, differentiable to its input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from camviz.engine.forward import call
from camviz.hooks.capture import capture, watch
from camviz.hooks.devices import autocast
from camviz.models.survey import Survey
from camviz.tasks.classification import Classification
from camviz.types import Layer, Model


class _Enough(BaseException):
    """Unwinds a forward whose rest nobody needs; not an `Exception`, so that no model's own `except` keeps it."""


@contextmanager
def _until(module: nn.Module, path: str, runs: int) -> Iterator[None]:
    """Within the block a forward ends, quietly, with the `runs`-th output of the layer at `path`."""
    left = runs

    def count(_path: str, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise _Enough

    try:
        with watch({path: module.get_submodule(path)}, count):
            yield
    except _Enough:
        pass


@dataclass(frozen=True, eq=False)
class Reader:
    """What optimization reads from inputs (n, c, H, W): the output of one layer, or the logits without one.

    `runs`: how often the layer runs in one forward; the last time counts.
    """

    model: Model
    layer: Layer | None
    runs: int = 1
    precision: str = "fp32"

    @classmethod
    def at(cls, model: Model, layer: Layer | None, seen: Survey, precision: str = "fp32") -> Reader:
        """For a layer as surveyed."""
        runs = sum(one.path == layer.path for one in seen.layers) if layer else 0
        return cls(model, layer, runs, precision)

    def output(self, inputs: Tensor) -> Tensor:
        """The layer's own output, float32, or the logits (n, classes). Gradients flow if they are enabled."""
        module, device = self.model.module, inputs.device
        if not self.layer:
            with autocast(device, self.precision):
                return Classification(self.model.name).rows(call(self.model, inputs), len(inputs))
        path = self.layer.path
        with capture(module, [path], torch.is_grad_enabled()) as found, autocast(device, self.precision):
            with _until(module, path, self.runs):  # inside: its hook comes after the one that records
                call(self.model, inputs)
            return found[path].float()

    def maps(self, inputs: Tensor) -> Tensor:
        """The layer's output as maps (n, c, h, w)."""
        assert self.layer
        return self.layer.to_maps(self.output(inputs), (inputs.shape[2], inputs.shape[3]))
