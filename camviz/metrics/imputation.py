"""Noisy linear imputation (ROAD, arXiv:2202.00449, sec. 4.2): a removed pixel is the weighted mean of its neighbors.

Direct neighbors have weight 1/6, diagonal ones 1/12, pixels outside the image 0: one linear system per mask, with the
kept pixels as its boundary. It is solved for many masks at once by conjugate gradients with a multigrid cycle as
preconditioner.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CYCLES = 40
_IN_CACHE = 200_000  # values per chunk of masks: the fastest on a CPU


class _Level(NamedTuple):
    """The equations at one size: the free pixels (m, 1, H, W), the step length, the weight of the pixel itself."""

    free: Tensor
    scale: Tensor
    center: Tensor


def impute(image: Tensor, removed: Tensor, tolerance: float = 3e-3) -> Tensor:
    """Return the image (c, H, W) with removed pixels (m, H, W) filled in: (m, c, H, W).

    The equations hold to within `tolerance` of the image's range. Without any kept pixel, all become the mean.
    """
    import torch

    count = len(removed) if removed.is_cuda else max(1, _IN_CACHE // image.numel())
    pieces = [removed[start : start + count] for start in range(0, len(removed), count)]
    return torch.cat([_impute(image.float(), piece, tolerance) for piece in pieces])


def _impute(image: Tensor, removed: Tensor, tolerance: float) -> Tensor:
    import torch

    mean = image.mean((1, 2), keepdim=True)
    kept = (~removed)[:, None].to(image)
    known = kept * (image - mean)
    free = (1 - kept) * kept.amax((2, 3), keepdim=True)
    start = known + free * _spread(known, kept)
    spread = float(image.amax() - image.amin())
    filled = _solve(start, free, max(tolerance * spread, 1e-12)).add_(mean)
    return torch.where(removed[:, None], filled, image)


def _spread(known: Tensor, kept: Tensor) -> Tensor:
    """Return a first guess: every pixel from the finest level of a pyramid that has kept pixels near it."""
    from torch.nn import functional as F

    if min(known.shape[2:]) < 2:
        return known
    sums, shares = (F.avg_pool2d(each, 2, ceil_mode=True) for each in (known, kept))
    coarse = sums / shares.clamp(min=1e-12)
    filled = coarse + (shares == 0) * _spread(coarse * (shares > 0), (shares > 0).to(kept))
    return _finer(filled, known.shape[2], known.shape[3])


def _solve(values: Tensor, free: Tensor, tolerance: float) -> Tensor:
    """Solve by preconditioned conjugate gradients, one step length per mask and channel; kept pixels do not change."""
    levels = _pyramid(free)
    rest = _pull(values, levels[0])
    direction = power = rest.new_zeros(())
    for number in range(_CYCLES):
        unsolved = rest.abs().amax((1, 2, 3), keepdim=True) > tolerance
        if not bool(unsolved.any()):
            break
        ahead = _cycle(rest, levels)
        before, power = power, _dot(ahead, rest).clamp_(min=1e-30)
        direction = ahead.addcmul_(direction, power / before) if number else ahead
        image = _pull(direction, levels[0])
        # one that is solved stays: its neighbors in the batch make no difference to it
        step = unsolved * power / _dot(direction, image).neg_().clamp_(min=1e-30)
        values, rest = values.addcmul(direction, step), rest.addcmul_(image, step)
    return values


def _cycle(rest: Tensor, levels: list[_Level]) -> Tensor:
    """Return one V-cycle's estimate of the error of a residual (m, c, H, W): smooth, correct at half size, smooth."""
    from torch.nn import functional as F

    level = levels[0]
    error = level.scale * rest
    if len(levels) == 1:
        for _ in range(8):
            error.addcmul_(_pull(error, level).add_(rest), level.scale)
        return error
    left = _pull(error, level).add_(rest)
    coarse = F.avg_pool2d(left, 2, ceil_mode=True).mul_(4)  # at half the size the same equations are four times as weak
    height, width = rest.shape[2:]
    error.addcmul_(_finer(_cycle(coarse.mul_(levels[1].free), levels[1:]), height, width), level.free)
    return error.addcmul_(_pull(error, level).add_(rest), level.scale)


def _pyramid(free: Tensor) -> list[_Level]:
    """Return the free pixels at halved sizes: a coarse pixel is free when all of its pixels are."""
    from torch.nn import functional as F

    masks = [free]
    while min(masks[-1].shape[2:]) > 8 and bool(masks[-1].any()):
        masks.append(-F.max_pool2d(-masks[-1], 2, ceil_mode=True))
    weights = [_weight(*mask.shape[2:], free.device) for mask in masks]
    return [_Level(mask, mask / weight, weight + 4) for mask, weight in zip(masks, weights, strict=True)]


def _finer(values: Tensor, height: int, width: int) -> Tensor:
    from torch.nn import functional as F

    return F.interpolate(values, size=(height, width), mode="bilinear", align_corners=False)


def _pull(values: Tensor, level: _Level) -> Tensor:
    """Return 12 × (the weighted mean of the neighbors - x) at the free pixels: zero when solved."""
    return _sums(values).addcmul_(values, level.center, value=-1).mul_(level.free)


def _sums(values: Tensor) -> Tensor:
    """Return Σ over 3×3 with the weights (1 2 1) ⊗ (1 2 1), zero outside the image."""
    return _line(_line(values, 2), 3)


def _line(values: Tensor, axis: int) -> Tensor:
    """Return Σ along an axis with the weights 1 2 1, as sums of pairs of pairs."""
    import torch

    length = values.shape[axis]
    if length == 1:
        return 2 * values
    pairs = values.narrow(axis, 0, length - 1) + values.narrow(axis, 1, length - 1)
    sums = torch.empty_like(values)
    if length > 2:
        inner = sums.narrow(axis, 1, length - 2)
        torch.add(pairs.narrow(axis, 0, length - 2), pairs.narrow(axis, 1, length - 2), out=inner)
    for end in (0, length - 1):
        sums.select(axis, end).copy_(values.select(axis, end)).add_(pairs.select(axis, min(end, length - 2)))
    return sums


@cache
def _weight(height: int, width: int, device: torch.device) -> Tensor:
    """Return 12 × the weights of the neighbors inside the image: (1, 1, H, W)."""
    import torch

    with torch.inference_mode(False):
        return _sums(torch.ones(1, 1, height, width, device=device)) - 4


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return Σ over the pixels of each mask and channel: (m, c, 1, 1)."""
    import torch

    product: Tensor = torch.linalg.vecdot(a.flatten(2), b.flatten(2))
    return product[..., None, None]
