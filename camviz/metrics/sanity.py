"""Sanity: does the map depend on what the model has learned?"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from camviz.metrics import METRICS
from camviz.metrics.case import Case
from camviz.types import Map


@partial(METRICS.add, family="sanity", needs="new maps")("sanity", paper="arXiv:1810.03292", better="lower")
def sanity(case: Case) -> NDArray[np.float64]:
    """Rank correlation of the map with the map of a model whose weights are shuffled: the mean over a cascade.

    Adebayo et al. 2018, sec. 3.1: weights are lost from the top down, a quarter of the layers more in each of four
    stages.
    Spearman's, over the cells that the map has. A map that stays the same does not explain this model.
    """
    found = case.shuffled()
    return np.array([
        np.mean([spearman(values, maps[k]) for maps in found]) for k, values in enumerate(case.maps)
    ])  # fmt: skip


def spearman(a: Map, b: Map) -> float:
    """Spearman's rank correlation, equal values sharing their mean rank; 0 where one of the maps is constant."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 0.0
    first, second = (_ranks(values.ravel()) - (values.size - 1) / 2 for values in (a, b))
    length = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / length) if length > 0 else 0.0


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Places from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    after = np.cumsum(counts)
    return np.asarray((after - (counts + 1) / 2)[inverse])
