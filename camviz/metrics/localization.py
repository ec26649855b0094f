"""Localization: does the map lie on the target? Measured on the image, inside the model's view."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from camviz.metrics import METRICS
from camviz.metrics.case import Case
from camviz.types import Map

_measure = partial(METRICS.add, family="localization", needs="truth", better="higher")


@_measure("pointing", paper="arXiv:1608.00507")
def pointing(case: Case, *, tolerance: float = 0.0) -> NDArray[np.float64]:
    """The pointing game: whether the map's highest pixel is on the target, or within `tolerance` pixels of it.

    Excitation backprop (Zhang et al. 2016, sec. 4.1; they allow 15 pixels: --set pointing.tolerance=15). If several
    pixels share the maximum, the fraction of them that is on the target.
    """
    truth = case.seen_truth
    if truth is None:
        return np.full(len(case.maps), np.nan)
    near = _grown(truth, tolerance)
    return np.array([near[values == np.nanmax(values)].mean() for values in case.placed])


def _grown(truth: NDArray[np.bool_], tolerance: float) -> NDArray[np.bool_]:
    """Return all pixels within `tolerance` of the truth."""
    if tolerance <= 0:
        return truth
    import cv2

    distance = cv2.distanceTransform((~truth).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= tolerance)


@_measure("energy", paper="arXiv:1910.01279")
def energy(case: Case) -> NDArray[np.float64]:
    """The fraction of the map's positive part on the target: the energy-based pointing game.

    Score-CAM (Wang et al. 2020, sec. 4.3). 0 for a blank map.
    """
    truth = case.seen_truth
    if truth is None:
        return np.full(len(case.maps), np.nan)
    totals = [float(np.nansum(values, dtype=np.float64)) for values in case.placed]
    inside = [float(values[truth].sum(dtype=np.float64)) for values in case.placed]
    return np.array([part / total if total > 0 else 0.0 for part, total in zip(inside, totals, strict=True)])


@_measure("iou", paper="arXiv:2001.07437")
def iou(case: Case, *, thresholds: int = 19) -> NDArray[np.float64]:
    """Intersection over union of the target and the map above a threshold, a fraction of its maximum.

    One threshold for all images, the best for each method: Choe et al. 2020, sec. 4.2, with masks instead of boxes.
    (k, thresholds), fractions from 0.05 to 0.95.
    """
    truth = case.seen_truth
    if truth is None:
        return np.full((len(case.maps), thresholds), np.nan)
    levels = np.linspace(0.05, 0.95, thresholds)
    return np.stack([overlaps(values, truth, levels) for values in case.placed])


def overlaps(values: Map, truth: NDArray[np.bool_], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of the truth and `values > level · maximum` at every level; NaN pixels belong to neither."""
    highest = np.nanmax(values)
    cells = np.nan_to_num(values.astype(np.float64), nan=-1.0)
    cuts = levels * highest
    inside, everywhere = np.sort(cells[truth]), np.sort(cells, axis=None)
    hits = len(inside) - np.searchsorted(inside, cuts, side="right")
    above = everywhere.size - np.searchsorted(everywhere, cuts, side="right")
    return np.asarray(hits / (above + len(inside) - hits))
