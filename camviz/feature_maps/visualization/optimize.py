"""Adam for images: many at once, each at its own pace."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Tick = Callable[[int, int], None]


def nobody(_done: int, _total: int) -> None:
    """Hears of the progress and keeps it for himself."""


def descend(
    start: Tensor,
    loss: Callable[[Tensor], Tensor],
    steps: int,
    rate: float = 0.1,
    decay: float = 0.0,
    settle: bool = False,
    tick: Tick = nobody,
) -> Tensor:
    """Coefficients (n, …) that lower `loss(coefficients)` (n,), each image's own; `start` stays as it is.

    Gradients are brought to unit size per image, and Adam divides by 1 + their spread: what gets little gradient,
    the finest waves above all, then moves little, where plain Adam would turn its rounding errors into full steps.
    `decay` pulls back to gray by that share in every step; `settle` lets the steps end at zero.
    """
    moving = start.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([moving], lr=rate, eps=1.0)
    for step in range(steps):
        with torch.enable_grad():
            [gradient] = torch.autograd.grad(loss(moving).sum(), moving)
        size = gradient.flatten(1).square().mean(1).sqrt().clamp(min=torch.finfo(gradient.dtype).tiny)
        moving.grad = gradient / size.view(-1, *[1] * (gradient.ndim - 1))
        if settle:
            optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.step()
        if decay:
            with torch.no_grad():
                moving.mul_(1 - decay)
        tick(step + 1, steps)
    return moving.detach()
