"""Other backward rules for ReLU, within a `with` block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Rule = Callable[[Tensor, Tensor], Tensor]


def guided(gradient: Tensor, passing: Tensor) -> Tensor:
    """Guided backpropagation (arXiv:1412.6806): positive gradients where the ReLU was active."""
    return gradient.clamp(min=0) * passing


def deconvnet(gradient: Tensor, _passing: Tensor) -> Tensor:
    """Deconvnet (arXiv:1311.2901): a ReLU of the gradient, independent of the forward pass."""
    return gradient.clamp(min=0)


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float, rule: Rule) -> Tensor:
        ctx.rule = rule
        ctx.save_for_backward((x > 0) & (x < top))
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (passing,) = ctx.saved_tensors
        return ctx.rule(gradient, passing), None, None


class ReluRule(TorchFunctionMode):
    """Within the block every ReLU and ReLU6, module or functional, in place or not, uses `rule` in the backward pass.

    Calls are intercepted; the model itself is unchanged. `met` counts them.
    """

    _tops: ClassVar[dict[Any, float]] = {
        F.relu: float("inf"),
        F.relu_: float("inf"),
        torch.relu: float("inf"),
        torch.relu_: float("inf"),
        Tensor.relu: float("inf"),
        Tensor.relu_: float("inf"),
        F.relu6: 6.0,
    }

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule
        self.met = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        x = args[0] if args else kwargs.get("input")
        top = self._tops.get(func)
        if func is F.hardtanh and (kwargs.get("min_val"), kwargs.get("max_val")) == (0.0, 6.0):
            top = 6.0  # as nn.ReLU6 calls it
        if top is None:
            return func(*args, **kwargs)
        self.met += 1
        return _Relu.apply(x, top, self.rule)
