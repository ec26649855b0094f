"""Feature maps of one layer for one image: rank channels, reduce them to one map, cluster them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from camviz.errors import RequestError
from camviz.types import Image, Map, View

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from camviz.feature_maps.incremental_pca import Basis
    from camviz.models.receptive_field import Field

Ranking = Literal["energy", "variance", "peak", "contribution", "index"]
Reduction = Literal["mean", "sum", "max", "l2", "pca", "cluster"]


@dataclass(frozen=True)
class Group:
    """A cluster of channels: their indices, their mean map and their share of the layer's energy."""

    channels: tuple[int, ...]
    values: Map = field(repr=False)
    share: float


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """The raw activations (c, h, w) float32 of one layer for one image.

    `contributions` (c,) are mean gradient × mean activation for a target, `basis` the shared principal components of
    a run, `receptive_field` that of the units; each may be None.
    """

    values: NDArray[np.float32] = field(repr=False)
    layer: str
    model: str
    image: Image
    view: View
    contributions: NDArray[np.float32] | None = field(default=None, repr=False)
    basis: Basis | None = field(default=None, repr=False)
    receptive_field: Field | None = field(default=None, repr=False)

    @property
    def energy(self) -> NDArray[np.float64]:
        """Energy Σ a² of each channel (c,)."""
        energy: NDArray[np.float64] = np.square(self.values.astype(np.float64)).sum((1, 2))
        return energy

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of the layer's energy of each channel (c,); zeros if all activations are zero."""
        energy = self.energy
        total = energy.sum()
        return energy / total if total > 0 else energy

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Which channels are zero everywhere (c,)."""
        return np.asarray(~self.values.any((1, 2)), np.bool_)

    @property
    def sparsity(self) -> float:
        """Fraction of activations that are exactly zero."""
        return float((self.values == 0).mean())

    @property
    def signed(self) -> bool:
        """Whether some activations are negative."""
        return bool(np.any(self.values < 0))

    @property
    def stride(self) -> float:
        """Vertical stride in pixels of the model's input."""
        return float(self.view.size[1] / self.values.shape[1])

    def order(self, rank: Ranking = "energy") -> list[int]:
        """Return the channels in descending order of `rank`; dead channels are left out unless ranked by index.

        energy: Σ a²; variance: of the map; peak: max |a|; contribution: mean gradient × mean activation, signed.
        """
        if rank == "index":
            return list(range(len(self.values)))
        if rank == "energy":
            scores = self.energy
        elif rank == "variance":
            scores = self.values.astype(np.float64).var((1, 2))
        elif rank == "peak":
            scores = np.abs(self.values).max((1, 2)).astype(np.float64)
        elif rank == "contribution":
            if self.contributions is None:
                raise RequestError("ranking by contribution needs a target", "--rank contribution --target top1")
            scores = self.contributions.astype(np.float64)
        else:
            raise RequestError(f"no rank '{rank}'", f"one of: {', '.join(get_args(Ranking))}")
        dead = self.dead
        return [int(k) for k in np.argsort(-scores, kind="stable") if not dead[k]]

    def reduce(self, how: Reduction = "mean") -> NDArray[np.float32]:
        """Reduce all channels to one map (h, w); "pca" gives the first three principal components (h, w, 3).

        Sums are computed in float64.
        """
        values = self.values.astype(np.float64)
        if how == "mean":
            return np.asarray(values.mean(0), np.float32)
        if how == "sum":
            return np.asarray(values.sum(0), np.float32)
        if how == "max":
            return np.asarray(self.values.max(0), np.float32)
        if how == "l2":
            return np.asarray(np.sqrt(np.square(values).sum(0)), np.float32)
        if how == "pca":
            from camviz.feature_maps.incremental_pca import IncrementalPCA

            basis = self.basis or IncrementalPCA.of(self.values).basis()
            return basis.project(self.values)
        raise RequestError(f"no reduction '{how}' to one map", f"one of: {', '.join(get_args(Reduction)[:-1])}")

    def groups(self, count: int = 8) -> list[Group]:
        """Cluster channels by the cosine similarity of their maps, in descending order of energy; skip dead channels.

        Spherical k-means (Dhillon and Modha 2001), started from the strongest channel and then the least similar ones.
        """
        alive = np.flatnonzero(~self.dead)
        if not len(alive):
            return []
        maps = self.values[alive].reshape(len(alive), -1).astype(np.float64)
        unit = maps / np.linalg.norm(maps, axis=1, keepdims=True)
        labels = _spherical_means(unit, self.energy[alive], min(count, len(alive)))
        shares = self.shares[alive]
        groups = []
        for label in range(int(labels.max()) + 1):
            members = labels == label
            if members.any():
                mean = self.values[alive[members]].astype(np.float64).mean(0).astype(np.float32)
                groups.append(Group(tuple(int(k) for k in alive[members]), mean, float(shares[members].sum())))
        return sorted(groups, key=lambda group: -group.share)

    def montage(self, **settings: Any) -> PILImage:
        """Draw the ranked channels and return a PIL image; settings as in `camviz.feature_maps.figures.Style`."""
        from PIL import Image as PILImage

        from camviz.feature_maps.figures import channels

        pixels = channels(self, **settings).pixels
        assert pixels is not None
        return PILImage.fromarray(pixels)


def _spherical_means(unit: NDArray[np.float64], weight: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Assign each of the unit vectors (n, d) to a cluster (n,); deterministic."""
    seeds = [int(weight.argmax())]
    nearest = unit @ unit[seeds[0]]
    while len(seeds) < count:
        seeds.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, unit @ unit[seeds[-1]])
    centers = unit[seeds]
    labels = np.zeros(len(unit), np.intp)
    for _ in range(50):
        before, labels = labels, (unit @ centers.T).argmax(1)
        if np.array_equal(before, labels):
            break
        for k in range(count):
            total = unit[labels == k].sum(0)
            norm = np.linalg.norm(total)
            if norm > 0:
                centers[k] = total / norm
    return labels


def check_finite(maps: Sequence[FeatureMaps]) -> str:
    """Return a message with the layers that hold NaN or infinite values, "" if there are none."""
    bad = [layer.layer for layer in maps if not np.isfinite(layer.values).all()]
    return f"NaN or infinite values at layer {', '.join(repr(path) for path in bad)}" if bad else ""
