"""CAMs without class weights: principal components and factors of the activations."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from camviz.methods import METHODS
from camviz.methods.factorization import factorize

if TYPE_CHECKING:
    from torch import Tensor

    from camviz.engine.probe import Probe

_plain = partial(METHODS.add, family="cam", needs="activations")


@_plain("eigencam", paper="arXiv:2008.00299", cost="an eigenproblem of the grid's size")
def eigencam(probe: Probe) -> Tensor:
    """A (positions × channels) projected on its first right singular vector, not centered. Not class-specific."""
    return principal(probe.activations)


@METHODS.add("eigengradcam", family="cam", paper="arXiv:2008.00299", needs="gradients", cost="1 backward")
def eigengradcam(probe: Probe) -> Tensor:
    """EigenCAM of G ⊙ A: specific to the class; its sign agrees with the evidence Σ_k G_k ⊙ A_k."""
    return principal(probe.gradients * probe.activations)


@METHODS.add("segeigencam", family="cam", paper="doi:10.3390/app15137562", needs="gradients", cost="1 backward")
def segeigencam(probe: Probe) -> Tensor:
    """EigenCAM of |G| ⊙ A: made for segmentation, where gradients of both signs matter.

    Its sign makes the largest magnitude positive (eq. 13 of the paper), since |G| has no sign to follow.
    """
    projected = principal(probe.gradients.abs() * probe.activations)
    low, high = projected.amin((1, 2), keepdim=True), projected.amax((1, 2), keepdim=True)
    return projected.where(low.abs() <= high.abs(), -projected)


def principal(maps: Tensor) -> Tensor:
    """The projection of (n, c, h, w) on its first principal direction over channels, not centered: (n, h, w).

    The sign of a singular vector is arbitrary: here the map correlates positively with the mean over channels.
    """
    import torch

    n, _, h, w = maps.shape
    rows = maps.flatten(2).transpose(1, 2).double()  # (n, positions, channels)
    fewer_positions = rows.shape[1] <= rows.shape[2]
    gram = rows @ rows.mT if fewer_positions else rows.mT @ rows
    finite = torch.isfinite(gram).flatten(1).all(1)
    values, vectors = torch.linalg.eigh(gram.masked_fill(~finite[:, None, None], 0))
    if fewer_positions:  # the first left singular vector, times its value
        projected = vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt()
    else:
        projected = (rows @ vectors[:, :, -1:])[:, :, 0]
    projected = _signed(projected, rows)
    projected[~finite] = float("nan")
    return projected.reshape(n, h, w).float()


@_plain("kpcacam", aliases=("kernel-pca-cam",), paper="arXiv:2410.00267", cost="an eigenproblem of the grid's size")
def kpcacam(probe: Probe, *, gamma: float = 0.0) -> Tensor:
    """First kernel principal component of the positions, kernel exp(-γ·|x - y|²).

    γ 0 stands for 1 / the median of |x - y|² over pairs of positions: with a fixed γ on activations of another scale
    the kernel becomes the identity matrix, and the map noise.
    """
    import torch

    n, _, h, w = probe.activations.shape
    rows = torch.nan_to_num(probe.activations).flatten(2).transpose(1, 2).double()
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist") ** 2  # equal rows: exactly 0
    positive = distances.flatten(1).masked_fill(distances.flatten(1) == 0, float("nan"))
    median = torch.nan_to_num(positive.nanmedian(1).values, nan=1.0)[:, None, None]
    kernel = torch.exp(-(distances * gamma if gamma else distances / median))
    kernel = kernel - kernel.mean(1, keepdim=True) - kernel.mean(2, keepdim=True) + kernel.mean((1, 2), keepdim=True)
    values, vectors = torch.linalg.eigh(kernel)
    projected = vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt()
    return _signed(projected, rows).reshape(n, h, w).float()


def _signed(projected: Tensor, rows: Tensor) -> Tensor:
    """Return a projection (n, positions) with the sign of its correlation with the channels' mean of (n, positions, c).

    Both are centered: an uncentered product is dominated by the means, and can make the background positive.
    """
    import torch

    mean = rows.mean(2)
    agreement = (projected * (mean - mean.mean(1, keepdim=True))).sum(1, keepdim=True)
    return projected * torch.where(agreement < 0, -1.0, 1.0)


@_plain("fem", paper="hal-02963298", gives="channels", cost="nothing")
def fem(probe: Probe, *, deviations: float = 2.0) -> Tensor:
    """Sum of channels where they are unusually strong: Σ_k mean(A_k) · 1[A_k > μ_k + 2σ_k]. Not class-specific."""
    activations = probe.activations
    mean = activations.mean((2, 3), keepdim=True)
    spread = activations.std((2, 3), keepdim=True, correction=0)
    return mean * (activations > mean + deviations * spread)


@_plain(
    "dff",
    aliases=("deep-feature-factorization",),
    paper="arXiv:1806.10206",
    cost="a small factorization",
    parts="concepts",
)
def dff(probe: Probe, *, concepts: int = 4, steps: int = 100) -> list[Tensor]:
    """Non-negative factorization of the activations into concepts, the largest first, with their shares."""
    import torch

    n, _, h, w = probe.activations.shape
    rows = torch.nan_to_num(probe.activations).clamp(min=0).flatten(2).transpose(1, 2)  # (n, positions, channels)
    positions, features = factorize(rows, concepts, steps)
    mass = positions.sum(1) * features.sum(2)  # (n, concepts): the sum of the activations that each concept explains
    order = mass.argsort(1, descending=True)
    shares = mass / mass.sum(1, keepdim=True).clamp(min=1e-12)
    weighted = positions * features.norm(dim=2)[:, None]
    for image in range(n):
        probe.facts[image]["shares"] = [round(float(shares[image, k]), 4) for k in order[image]]
    return [weighted[torch.arange(n), :, order[:, k]].reshape(n, h, w) for k in range(concepts)]
