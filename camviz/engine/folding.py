"""Batch normalisation taken into the convolution before it, for the length of many forwards.

In evaluation it is a scale and a shift per channel: bn(W*x + b) = (s·W)*x + s·(b - mean) + beta with
s = gamma/√(var + eps), so that one pass over a large tensor is saved. It is done where the new weights are smaller
than that tensor, and where the network's output stays what it was.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from camviz.engine.capture import watch

WORTH = 64  # forwards; it takes two to find out what can be folded


@dataclass(frozen=True, eq=False)
class Fold:
    """A convolution and the normalisation of its output alone; the weights and the bias of both in one."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    weight: Tensor
    bias: Tensor

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the convolution does both, and the normalisation nothing."""
        self.conv.__dict__["forward"] = lambda inputs: self.conv._conv_forward(inputs, self.weight, self.bias)
        self.norm.__dict__["forward"] = lambda inputs: inputs
        try:
            yield
        finally:
            del self.conv.__dict__["forward"], self.norm.__dict__["forward"]


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Fold:
    """Both in one; the normalisation must have running statistics."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.detach()
    bias = (0 if conv.bias is None else conv.bias.detach()) - norm.running_mean
    beta = 0 if norm.bias is None else norm.bias.detach()
    return Fold(conv, norm, conv.weight.detach() * scale[:, None, None, None], bias * scale + beta)


def find_folds(module: nn.Module, compute: Callable[[], Any]) -> list[Fold]:
    """What can be folded in a network in evaluation mode, and is worth it, found by two runs of `compute`.

    Nothing unless the second, folded, gives what the first gave: something else may have read a convolution's output.
    """
    last: dict[int, tuple[nn.Conv2d, Any]] = {}
    runs: list[nn.Module] = []
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d, int]] = []

    def record(_path: str, part: nn.Module, given: Any, output: Any) -> None:
        runs.append(part)
        if isinstance(part, nn.Conv2d):
            last[id(output)] = part, weakref.ref(output)
        elif isinstance(part, nn.BatchNorm2d):
            conv, made = last.get(id(given[0]), (None, None))
            if conv is not None and made is not None and made() is given[0]:
                pairs.append((conv, part, given[0][0].numel()))

    parts = {path: part for path, part in module.named_modules() if type(part) in (nn.Conv2d, nn.BatchNorm2d)}
    with watch(parts, record):
        before = compute()
    folds = [
        fold(conv, norm)
        for conv, norm, size in pairs
        if conv.weight.numel() < size and norm.running_var is not None and _alone(conv, runs) and _alone(norm, runs)
    ]
    if not folds or not isinstance(before, Tensor):
        return []
    with folded(folds):
        after = compute()
    same = torch.allclose(after, before, rtol=1e-3, atol=1e-4 * float(before.abs().max()))
    return folds if same else []


def _alone(part: nn.Module, runs: Sequence[nn.Module]) -> bool:
    """It ran once, and nobody has hung anything onto it."""
    free = not (part._forward_hooks or part._forward_pre_hooks or "forward" in part.__dict__)
    return free and runs.count(part) == 1


@contextmanager
def folded(folds: Sequence[Fold]) -> Iterator[None]:
    """All of them applied, within the block."""
    with ExitStack() as stack:
        for one in folds:
            stack.enter_context(one.applied())
        yield
