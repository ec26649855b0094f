"""A preprocessing that is any function: what part of the image its result shows is measured with two ramps."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from camviz.errors import ModelError
from camviz.types import View

Function = Callable[[PILImage.Image], Any]
_LEAST = 0.9  # share of a ramp's variance that a straight line must explain


def apply(function: Function, image: PILImage.Image) -> NDArray[np.float32]:
    """Return (channels, height, width) of a torchvision, timm or albumentations transform, or of a plain function.

    Raises `ModelError` where it fails or returns something else.
    """
    try:
        if type(function).__module__.startswith("albumentations"):
            result = function(image=np.asarray(image))["image"]  # type: ignore[call-arg]  # a transform of albumentations
        else:
            result = function(image)
        values = np.asarray(result, np.float32)
    except Exception as error:
        raise ModelError(
            f"preprocess failed on an image: {type(error).__name__}: {error}",
            "it takes a PIL image and returns (channels, height, width); rename it if it is for something else",
        ) from error
    values = values[0] if values.ndim == 4 and len(values) == 1 else values
    if values.ndim == 3 and values.shape[0] > 16 and values.shape[2] <= 16:  # channels last
        values = values.transpose(2, 0, 1)
    if values.ndim != 3:
        raise ModelError(
            f"preprocess returns an array of shape {values.shape}", "return (channels, height, width) for one image"
        )
    return np.ascontiguousarray(values)


def applied(function: Function, image: PILImage.Image) -> tuple[NDArray[np.float32], View]:
    """Return the model's input, and the `View` of the image that it shows."""
    values = apply(function, image)
    return values, _view(function, image.size)


@lru_cache(maxsize=256)
def _view(function: Function, size: tuple[int, int]) -> View:
    """Measured: where a ramp from left to right, and another from top to bottom, arrive in the result."""
    width, height = size
    black, white = (apply(function, PILImage.new("RGB", size, (level,) * 3)) for level in (0, 255))
    scale = (white - black).mean(axis=0)
    down, across = np.mgrid[:height, :width].astype(np.float32) + 0.5
    edges = []
    for ramp, axis, length in ((across / width, 1, width), (down / height, 0, height)):
        pixels = np.repeat(np.round(ramp * 255)[..., None], 3, axis=2).astype(np.uint8)
        result = (apply(function, PILImage.fromarray(pixels)) - black).mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a row of padding has no value
            places = np.nanmedian(np.where(np.abs(scale) > 1e-6, result / scale, np.nan), axis=1 - axis)
        edges.append(_edges(places, length))
    (left, right), (top, bottom) = edges
    shape = black.shape
    return View(size, (left, top, right, bottom), (shape[2], shape[1]))


def _edges(places: NDArray[np.float32], length: int) -> tuple[float, float]:
    """(first, last) edge in pixels from the share of the image that every cell of the result shows."""
    inside = np.isfinite(places) & (places > 0.01) & (places < 0.99)  # padding is constant
    cells = np.arange(len(places)) + 0.5
    if inside.sum() < 3:
        return 0.0, float(length)
    slope, start = np.polyfit(cells[inside], places[inside], 1)
    rest = places[inside] - (slope * cells[inside] + start)
    if slope <= 0 or rest.var() > (1 - _LEAST) * places[inside].var():  # flipped or warped: the whole image
        return 0.0, float(length)
    return float(start * length), float((start + slope * len(places)) * length)
