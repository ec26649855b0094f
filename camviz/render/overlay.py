"""Layouts of the size of the image: the map over the image, and the map alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camviz.render import RENDERERS
from camviz.render.painting import alone, bar_of, paint, scaled
from camviz.types import Image, Look, Pixels, SaliencyMap

SMALLEST, LARGEST = 256, 2048  # pixels: the short side at least, the long side at most
_OUTSIDE = 128  # gray outside the model's crop


@RENDERERS.add("overlay")
def overlay(image: Image, map: SaliencyMap, look: Look) -> Pixels:
    """The map over the image, with an opacity that grows with its values; maps per pixel alone, on white."""
    pixels, map = fitted(image, map, look)
    return paint(pixels, map, look)


@RENDERERS.add("heatmap")
def heatmap(image: Image, map: SaliencyMap, look: Look) -> Pixels:
    """The map's colors alone, gray outside the model's crop."""
    _, map = fitted(image, map, look)
    return alone(map, replace(bar_of(map, look), opacity=None), look, _OUTSIDE)


def fitted(image: Image, map: SaliencyMap, look: Look) -> tuple[Pixels, SaliencyMap]:
    """Return image and map with a short side of at least 256 (nearest) and a long side of at most 2048 pixels."""
    import cv2

    short, long = sorted((image.width, image.height))
    if look.full_size or (short >= SMALLEST and long <= LARGEST):
        return image.pixels, map
    times = min(-(-SMALLEST // short), max(1, LARGEST // long)) if short < SMALLEST else 1
    if times > 1:
        pixels = image.pixels.repeat(times, axis=0).repeat(times, axis=1)
    elif long > LARGEST:
        size = (max(1, round(image.width * LARGEST / long)), max(1, round(image.height * LARGEST / long)))
        pixels = np.asarray(cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        return image.pixels, map
    return pixels, scaled(map, pixels.shape[1], pixels.shape[0])
