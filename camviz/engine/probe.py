"""What one pass through a network left behind, for methods to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from camviz.engine.capture import borrowed, capture, first_tensor, watch
from camviz.engine.devices import autocast
from camviz.errors import InputError, NetworkError
from camviz.types import Layer, Model, Target


@dataclass(eq=False)
class Pass:
    """One forward: the input (n, c, H, W), logits (n, classes) and the tensors captured at the layers."""

    model: Model
    inputs: Tensor
    logits: Tensor
    captured: Mapping[str, Tensor]
    heads: Sequence[tuple[nn.Linear, Tensor]] = ()

    def backward(self, scores: Tensor, keep: bool) -> dict[str, Tensor]:
        """Gradients of the summed scores for every captured tensor; `keep` when another call follows."""
        paths = list(self.captured)
        grads: Sequence[Tensor | None] = [None] * len(paths)
        if scores.requires_grad:
            tensors = [self.captured[path] for path in paths]
            grads = torch.autograd.grad(scores.sum(), tensors, retain_graph=keep, allow_unused=True)
        for path, grad in zip(paths, grads, strict=True):
            if grad is None:
                raise NetworkError(
                    f"the score does not depend on layer '{path}' of {self.model.name}, or not in a way that can be "
                    "differentiated (is there a no_grad or a detach in its forward?)",
                    f"'camviz layers {self.model.name}' stars the default; methods without gradients work too",
                )
        return {path: grad for path, grad in zip(paths, grads, strict=True) if grad is not None}


def run_forward(
    model: Model, inputs: Tensor, layers: Sequence[Layer], gradients: bool, precision: str = "fp32"
) -> Pass:
    """One forward over a batch (n, c, H, W), capturing the layers; the network comes back as it was."""
    heads: list[tuple[nn.Linear, Tensor, Tensor]] = []

    def record(_path: str, module: nn.Module, given: Any, output: Any) -> None:
        assert isinstance(module, nn.Linear)
        heads.append((module, given[0].detach(), output))

    linears = {path: part for path, part in model.module.named_modules() if isinstance(part, nn.Linear)}
    with (
        borrowed(model.module),
        watch(linears, record),
        capture(model.module, [layer.path for layer in layers], gradients) as captured,
        autocast(inputs.device, precision),
    ):
        output = _call(model, inputs)
    last = [(module, given) for module, given, made in heads if made is output]
    return Pass(model, inputs, _logits(model, output, len(inputs)), captured, last)


def _call(model: Model, inputs: Tensor) -> Any:
    try:
        return model.module(inputs)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        height, width = inputs.shape[2:]
        reason = str(error).partition("\n")[0] or type(error).__name__
        message = f"{model.name} does not accept an input of {width}×{height}: {reason}"
        native = model.preprocessing.crop
        if (height, width) != native:
            raise InputError(message, f"--fit squash shows the whole picture at {native[1]}×{native[0]}") from error
        raise NetworkError(message, "--input-size WIDTHxHEIGHT sets another size") from error


def _logits(model: Model, output: Any, count: int) -> Tensor:
    tensor = first_tensor(output)
    if tensor is None or tensor.ndim != 2 or tensor.shape[0] != count:
        shape = "no tensor" if tensor is None else "×".join(map(str, tensor.shape))
        raise NetworkError(
            f"{model.name} gives {shape} for {count} picture(s), not one row of class scores for each",
            "camviz explains image classifiers: (pictures, classes)",
        )
    return tensor.float()


@dataclass(eq=False)
class Probe:
    """What a method reads: one layer of one pass, for one target per picture."""

    passed: Pass
    layer: Layer
    targets: Sequence[Target]
    scores: Tensor
    raw_gradients: Mapping[str, Tensor] = field(default_factory=dict)

    def _maps(self, tensor: Tensor) -> Tensor:
        height, width = self.passed.inputs.shape[2:]
        return self.layer.to_maps(tensor.detach(), (height, width)).float()

    @cached_property
    def activations(self) -> Tensor:
        """A: the layer's output as (n, c, h, w), float32."""
        return self._maps(self.passed.captured[self.layer.path])

    @cached_property
    def gradients(self) -> Tensor:
        """G = dS/dA as (n, c, h, w), float32; each picture's own score."""
        return self._maps(self.raw_gradients[self.layer.path])

    @cached_property
    def linear_head(self) -> tuple[Tensor, Tensor]:
        """(W, A): each picture's target weights (n, c) and the maps (n, c, h, w) whose mean they are applied to.

        Raises `NetworkError` unless the layer is averaged and goes into one linear layer that gives the scores.
        """
        if not self.passed.heads:
            raise self._no_head("its scores do not come from one linear layer")
        head, given = self.passed.heads[-1]
        for maps in (self.activations, self.activations.clamp(min=0)):  # DenseNet has a ReLU in between
            pooled = maps.mean((2, 3))
            if pooled.shape == given.shape and torch.allclose(pooled, given.float(), rtol=1e-2, atol=1e-3):
                with torch.enable_grad():
                    logits = self.passed.logits.detach().requires_grad_()
                    scores = [target.read(row) for target, row in zip(self.targets, logits, strict=True)]
                    (share,) = torch.autograd.grad(torch.stack(scores).sum(), logits)
                return share @ head.weight.detach().float(), maps
        raise self._no_head(f"layer '{self.layer.path}' is not averaged straight into its last linear layer")

    def _no_head(self, why: str) -> NetworkError:
        return NetworkError(
            f"method 'cam' cannot work on {self.passed.model.name}: {why}",
            "--method gradcam needs no such head, and equals cam where there is one",
        )
