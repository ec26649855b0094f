"""Sanity: does the map depend on the model's weights?"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from camviz.metrics import METRICS
from camviz.metrics.case import Case
from camviz.types import Map


@partial(METRICS.add, family="sanity", needs="new maps")("sanity", paper="arXiv:1810.03292", better="lower")
def sanity(case: Case) -> NDArray[np.float64]:
    """Rank correlation of the map with the maps of the model with randomized weights: the mean over a cascade.

    Adebayo et al. 2018, sec. 3.1: weights are randomized from the top down, a quarter of the layers more in each of
    four stages. Spearman's correlation over the map's own cells. A map that stays the same does not explain the model.
    """
    stages = case.randomized()
    return np.array([
        np.mean([spearman(values, maps[k]) for maps in stages]) for k, values in enumerate(case.maps)
    ])  # fmt: skip


def spearman(a: Map, b: Map) -> float:
    """Return Spearman's rank correlation, ties at their mean rank; 0 if one of the maps is constant."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 0.0
    first, second = (_ranks(values.ravel()) - (values.size - 1) / 2 for values in (a, b))
    length = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / length) if length > 0 else 0.0


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ranks from 0, ties at their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    after = np.cumsum(counts)
    return np.asarray((after - (counts + 1) / 2)[inverse])
