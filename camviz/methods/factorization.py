"""Non-negative matrix factorization by coordinate descent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def factorize(rows: Tensor, concepts: int, steps: int) -> tuple[Tensor, Tensor]:
    """Return W (n, positions, k), H (n, k, channels) ≥ 0 with W·H ≈ rows, by coordinate descent from an SVD.

    Multiplicative updates from random numbers can stop at saddle points with empty concepts; this start has none,
    and it is deterministic.
    """
    import torch

    left, values, right = torch.linalg.svd(rows, full_matrices=False)
    w, h = rows.new_zeros(*rows.shape[:2], concepts), rows.new_zeros(len(rows), concepts, rows.shape[2])
    for k in range(min(concepts, values.shape[1])):
        u, v = left[:, :, k], right[:, k]
        sides = [(u.clamp(min=0), v.clamp(min=0)), ((-u).clamp(min=0), (-v).clamp(min=0))]
        masses = [a.norm(dim=1, keepdim=True) * b.norm(dim=1, keepdim=True) for a, b in sides]
        first = masses[0] >= masses[1]  # the larger non-negative part of the pair (Boutsidis and Gallopoulos 2008)
        scale = values[:, k, None].sqrt()
        w[:, :, k] = scale * torch.where(first, sides[0][0], sides[1][0])
        h[:, k] = scale * torch.where(first, sides[0][1], sides[1][1])
    for _ in range(steps):
        w = _descend(rows.mT, h.mT, w.mT).mT
        h = _descend(rows, w, h)
    return w, h


def coefficients(rows: Tensor, features: Tensor, steps: int = 100) -> Tensor:
    """Return W (n, positions, k) ≥ 0 that minimizes |rows - W·H|² for fixed features H (k, channels) ≥ 0."""
    h = features.expand(len(rows), *features.shape)
    w = rows.new_zeros(*rows.shape[:2], len(features))
    for _ in range(steps):
        w = _descend(rows.mT, h.mT, w.mT).mT
    return w


def _descend(rows: Tensor, w: Tensor, h: Tensor) -> Tensor:
    """Minimize |rows - W·H|² exactly over each row of H in turn, kept non-negative."""
    cross, gram = w.mT @ rows, w.mT @ w
    h = h.clone()
    for k in range(h.shape[1]):
        gap = cross[:, k] - (gram[:, k, None] @ h)[:, 0]
        h[:, k] = (h[:, k] + gap / gram[:, k, k, None].clamp(min=1e-12)).clamp(min=0)
    return h
