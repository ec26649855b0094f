"""Principal component analysis of a layer over many images, in one pass and with bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Basis:
    """The first three principal directions (3, c), the mean (c,) and the standard deviation (3,) along each.

    With `inner`, the basis of the foreground: the positions at which the first component has the `sign`.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    deviations: NDArray[np.float64]
    inner: Basis | None = None
    sign: float = 1.0

    def foreground(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which positions of activations (c, h, w) are foreground: (h, w)."""
        return np.asarray(self._components(values)[..., 0] * self.sign > 0, np.bool_)

    def project(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project activations (c, h, w) to components (h, w, 3), zero at the mean; with `inner` to those of it."""
        return (self.inner or self)._components(values)

    def _components(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        c, h, w = values.shape
        rows = values.reshape(c, -1).T.astype(np.float64) - self.mean
        return (rows @ self.directions.T).reshape(h, w, 3).astype(np.float32)


class IncrementalPCA:
    """Accumulate count, Σ a, Σ a aᵀ (with `products`) and the extremes of one layer over positions and images."""

    def __init__(self, channels: int, products: bool = True) -> None:
        self.count = 0
        self.largest = 0.0
        self.smallest = 0.0
        self.total = np.zeros(channels)
        self.products = np.zeros((channels, channels)) if products else None

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> IncrementalPCA:
        """Return the sums of one image's activations (c, h, w)."""
        pca = cls(len(values))
        pca.add(values)
        return pca

    def add(self, values: NDArray[np.float32]) -> None:
        """Add one image's activations (c, h, w); positions with a value that is not finite are skipped."""
        rows = values.reshape(len(values), -1).T.astype(np.float64)
        rows = rows[np.isfinite(rows).all(1)]
        self.count += len(rows)
        self.largest = max(self.largest, float(rows.max(initial=0)))
        self.smallest = min(self.smallest, float(rows.min(initial=0)))
        self.total += rows.sum(0)
        if self.products is not None:
            self.products += rows.T @ rows

    def basis(self) -> Basis:
        """Return the first three principal directions, each with the sign that makes its largest weight positive."""
        assert self.products is not None
        count = max(self.count, 1)
        mean = self.total / count
        covariance = self.products / count - np.outer(mean, mean)
        variances, vectors = np.linalg.eigh(covariance)
        directions = vectors[:, ::-1][:, :3].T
        directions = np.pad(directions, ((0, 3 - len(directions)), (0, 0)))
        peaks = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
        directions = directions * np.where(peaks < 0, -1.0, 1.0)
        deviations = np.sqrt(np.clip(np.pad(variances[::-1][:3], (0, max(0, 3 - len(variances)))), 0, None))
        return Basis(mean, directions, deviations)


def with_foreground(basis: Basis, images: Iterable[NDArray[np.float32]]) -> Basis:
    """Return the basis with that of the foreground inside, as in the notebooks of DINOv2; activations are (c, h, w).

    The foreground has one sign of the first component in all images: the sign that is more frequent in the middle of
    the images than at their borders.
    """
    sides = {sign: IncrementalPCA(len(basis.mean)) for sign in (1.0, -1.0)}
    inward = 0.0
    for values in images:
        positive = basis.foreground(values)
        for sign, pca in sides.items():
            chosen = values[:, positive if sign > 0 else ~positive]
            pca.add(chosen[:, :, None])
        height, width = positive.shape
        middle = positive[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None]
        border = np.concatenate([positive[[0, -1]].ravel(), positive[:, [0, -1]].ravel()])
        inward += float(middle.mean() - border.mean())
    sign = 1.0 if inward >= 0 else -1.0
    return replace(basis, inner=sides[sign].basis(), sign=sign)
