"""How alike two maps are, in numbers: on the image's pixels, where both models have seen it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from camviz.render.panel import scaled
from camviz.types import Image, Map, SaliencyMap

SHARE = 0.2  # of the pixels are the hottest
_LONGEST = 512  # pixels of the long side: maps are far coarser than that


def size_of(image: Image) -> tuple[int, int]:
    """(width, height) at which the maps of an image are compared: its own, or smaller with the same proportions."""
    share = min(1.0, _LONGEST / max(image.width, image.height))
    return max(1, round(image.width * share)), max(1, round(image.height * share))


def placed(map: SaliencyMap, size: tuple[int, int] | None = None) -> Map:
    """The raw map on its image, (height, width), NaN where the model saw nothing."""
    size = size or size_of(map.image)
    return scaled(map, *size).view.place(map.values)


def seen_by_both(a: Map, b: Map) -> NDArray[np.bool_]:
    """Where both maps have a value."""
    return np.isfinite(a) & np.isfinite(b)


def correlation(a: Map, b: Map) -> float:
    """Pearson's correlation of two placed maps; NaN where they share nothing, or one of them is constant."""
    both = seen_by_both(a, b)
    if both.sum() < 2:
        return float("nan")
    first, second = (values[both].astype(np.float64) for values in (a, b))
    first, second = first - first.mean(), second - second.mean()
    length = float(np.sqrt((first @ first) * (second @ second)))
    least = 1e-12 * both.sum() * float(np.abs(a[both]).max() * np.abs(b[both]).max())
    return float(first @ second) / length if length > least else float("nan")


def hottest(values: Map, inside: NDArray[np.bool_], share: float = SHARE) -> NDArray[np.bool_]:
    """The largest values, a `share` of those `inside`; equal ones count together.

    Where that would be the lowest value too, as in a map that is zero in most places: those above it.
    """
    found = values[inside]
    if not found.size:
        return np.zeros_like(inside)
    rank = max(1, round(share * found.size))
    edge = np.partition(found, found.size - rank)[found.size - rank]
    with np.errstate(invalid="ignore"):
        hot = values > edge if edge == found.min() else values >= edge
    return np.asarray(hot & inside)


def overlap(a: Map, b: Map, share: float = SHARE) -> float:
    """Intersection over union of the hottest pixels of two placed maps; NaN where neither has any."""
    both = seen_by_both(a, b)
    first, second = hottest(a, both, share), hottest(b, both, share)
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else float("nan")
