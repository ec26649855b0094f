"""The figure: image and overlay, the caption, the color bar."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camviz.render import RENDERERS
from camviz.render.frame import as_figure, bar_of, caption
from camviz.render.overlay import blend
from camviz.render.sheet import sheet
from camviz.types import Figure, Image, Look, Pixels, SaliencyMap

LARGEST = 1600  # pixels, the long side of a tile
SMALLEST = 320
_WIDE = 2.0  # width / height from which tiles stand on top of each other


@RENDERERS.add("panel")
def panel(image: Image, map: SaliencyMap, look: Look) -> Figure:
    """Image and overlay side by side (wide ones on top of each other), captioned, with a color bar."""
    pixels = resized(image.pixels)
    height, width = pixels.shape[:2]
    tiles = [pixels, blend(pixels, scaled(map, width, height), look)]
    cells = [[tile] for tile in tiles] if width > _WIDE * height else [tiles]
    lines = () if look.caption is False else caption(map, look.sign)
    figure = sheet(cells, bar=None if look.colorbar is False else bar_of(map, look), caption=lines)
    return as_figure("panel", figure, map, look)


def resized(pixels: Pixels) -> Pixels:
    """A tile of at most 1600 pixels (area average); a small one has each pixel repeated (nearest)."""
    import cv2

    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest > LARGEST:
        size = (max(1, round(width * LARGEST / longest)), max(1, round(height * LARGEST / longest)))
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    times = -(-SMALLEST // longest)
    return pixels.repeat(times, axis=0).repeat(times, axis=1) if times > 1 else pixels


def scaled(map: SaliencyMap, width: int, height: int) -> SaliencyMap:
    """The same map for the image at another size: its view moves along, its values stay."""
    view = map.view
    x, y = width / view.image[0], height / view.image[1]
    left, top, right, bottom = view.box
    box = (left * x, top * y, right * x, bottom * y)
    return replace(map, view=replace(view, image=(width, height), box=box))
