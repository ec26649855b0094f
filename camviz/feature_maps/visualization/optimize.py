"""Optimize many images at once with Adam, with gradients normalized per image."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Tick = Callable[[int, int], None]


def no_progress(_done: int, _total: int) -> None:
    """Ignore the progress."""


def descend(
    start: Tensor,
    loss: Callable[[Tensor], Tensor],
    steps: int,
    rate: float = 0.1,
    decay: float = 0.0,
    settle: bool = False,
    tick: Tick = no_progress,
) -> Tensor:
    """Return coefficients (n, …) that minimize `loss(coefficients)` (n,) for each image; `start` is not modified.

    Gradients are normalized per image, and Adam uses eps = 1: coefficients with a small gradient, mainly high
    frequencies, then take small steps, where the usual eps would turn rounding errors into full steps. `decay`
    shrinks the coefficients by that fraction in every step (towards gray); `settle` anneals the steps to zero.
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
