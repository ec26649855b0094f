"""Similarity of two maps on the pixels of the image that both models see: correlation and overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from camviz.render.painting import scaled
from camviz.types import Image, Map, SaliencyMap

SHARE = 0.2  # fraction of the pixels that `overlap` compares
_LONGEST = 512  # pixels of the long side; maps are much coarser


def size_of(image: Image) -> tuple[int, int]:
    """Return the (width, height) at which maps are compared: that of the image, at most 512 px on the long side."""
    share = min(1.0, _LONGEST / max(image.width, image.height))
    return max(1, round(image.width * share)), max(1, round(image.height * share))


def placed(map: SaliencyMap, size: tuple[int, int] | None = None) -> Map:
    """Resample the raw map to its image, (height, width), NaN outside the model's crop."""
    size = size or size_of(map.image)
    return scaled(map, *size).view.place(map.values)


def seen_by_both(a: Map, b: Map) -> NDArray[np.bool_]:
    """Return where both maps are finite."""
    return np.isfinite(a) & np.isfinite(b)


def correlation(a: Map, b: Map) -> float:
    """Return Pearson's correlation of two placed maps; NaN if they do not overlap or one of them is constant."""
    both = seen_by_both(a, b)
    if both.sum() < 2:
        return float("nan")
    first, second = (values[both].astype(np.float64) for values in (a, b))
    first, second = first - first.mean(), second - second.mean()
    length = float(np.sqrt((first @ first) * (second @ second)))
    least = 1e-12 * both.sum() * float(np.abs(a[both]).max() * np.abs(b[both]).max())
    return float(first @ second) / length if length > least else float("nan")


def hottest(values: Map, inside: NDArray[np.bool_], share: float = SHARE) -> NDArray[np.bool_]:
    """Return a mask of the largest values, a fraction `share` of those `inside`, ties included.

    If the threshold is the minimum, as in a map that is mostly zero, only values above it count.
    """
    candidates = values[inside]
    if not candidates.size:
        return np.zeros_like(inside)
    rank = max(1, round(share * candidates.size))
    edge = np.partition(candidates, candidates.size - rank)[candidates.size - rank]
    with np.errstate(invalid="ignore"):
        hot = values > edge if edge == candidates.min() else values >= edge
    return np.asarray(hot & inside)


def overlap(a: Map, b: Map, share: float = SHARE) -> float:
    """Return the intersection over union of the largest values of two placed maps; NaN if both masks are empty."""
    both = seen_by_both(a, b)
    first, second = hottest(a, both, share), hottest(b, both, share)
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else float("nan")
