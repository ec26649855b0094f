"""Sparsity: how concentrated is the map?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from camviz.metrics import METRICS
from camviz.metrics.case import Case
from camviz.types import Map


@METRICS.add("sparsity", paper="arXiv:1810.06583", family="sparsity", needs="nothing", better="higher")
def sparsity(case: Case) -> NDArray[np.float64]:
    """The Gini index of |map|: 0 for a constant map, close to 1 for a single non-zero cell.

    Chalasani et al. 2020, sec. 2, after Hurley and Rickard 2009, at the map's own size. A map of zeros has 0.
    """
    return np.array([gini(values) for values in case.maps])


def gini(values: Map) -> float:
    """1 - 2 Σ_k v_(k) / |v| · (d - k + ½) / d, v in ascending order, k from 1 to d."""
    sizes = np.sort(np.abs(values[np.isfinite(values)]).astype(np.float64))
    total, count = sizes.sum(), len(sizes)
    if total == 0:
        return 0.0
    left = (count - np.arange(1, count + 1) + 0.5) / count
    return float(1 - 2 * (sizes / total * left).sum())
