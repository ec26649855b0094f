"""Structural similarity of two images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from camviz.types import Pixels

_SIGMA, _REACH = 1.5, 5  # of the window: 11 × 11
_LUMA = np.array([0.299, 0.587, 0.114])


def ssim(first: Pixels, other: Pixels) -> float:
    """Return the structural similarity (SSIM) of two images (H, W, 3) of one size, on luma: 1 for equal images.

    Wang et al., IEEE TIP 13(4), 2004: Gaussian windows of 11 × 11 inside the image, K1 = 0.01, K2 = 0.03. In
    images smaller than a window, windows that cross the edge (mirrored) count too.
    """
    x, y = first @ _LUMA, other @ _LUMA
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    both = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    shape = (2 * both + c2) / (var_x + var_y + c2)
    inside = light * shape
    if min(inside.shape) > 2 * _REACH:
        inside = inside[_REACH:-_REACH, _REACH:-_REACH]
    return float(inside.mean())


def _blur(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    import cv2

    side = 2 * _REACH + 1
    return np.asarray(cv2.GaussianBlur(plane, (side, side), _SIGMA, borderType=cv2.BORDER_REFLECT_101), np.float64)
