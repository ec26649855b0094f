"""Layouts the size of the image: the map over the image, and the map alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from camviz.render import RENDERERS, color
from camviz.render.frame import bar_of
from camviz.render.marks import draw_marks
from camviz.types import Image, Look, Pixels, SaliencyMap

_OUTSIDE = 128  # gray where the model saw nothing
_LIGHT, _DARK = 255, 40


@RENDERERS.add("overlay")
def overlay(image: Image, map: SaliencyMap, look: Look) -> Pixels:
    """The map blended over the image."""
    return blend(image.pixels, map, look)


@RENDERERS.add("heatmap")
def heatmap(image: Image, map: SaliencyMap, look: Look) -> Pixels:
    """The map's colors alone, gray where the model saw nothing."""
    colors, nothing = _colors(map, look)
    np.copyto(colors, np.uint8(_OUTSIDE), where=nothing)
    draw_marks(colors, map.marks, map.view)
    return colors


def blend(pixels: Pixels, map: SaliencyMap, look: Look) -> Pixels:
    """(1 - alpha) · image + alpha · color inside the view; outside it the image, the view outlined; then marks."""
    import cv2

    colors, nothing = _colors(map, look)
    painted = np.asarray(cv2.addWeighted(pixels, 1 - look.alpha, colors, look.alpha, 0), np.uint8)
    if nothing.any():
        np.copyto(painted, pixels, where=nothing)
    if map.view.partial:
        _outline(painted, map.view.rectangle)
    draw_marks(painted, map.marks, map.view)
    return painted


def _colors(map: SaliencyMap, look: Look) -> tuple[Pixels, NDArray[np.bool_]]:
    """The placed map in colors (H, W, 3), and where it has no value (H, W, 1)."""
    bar = bar_of(map, look)
    placed = map.view.place(map.values)
    colors = color.colorise(color.oriented(placed, look.sign), bar.within, bar.colormap)
    return colors, np.isnan(placed)[..., None]


def _outline(painted: Pixels, rectangle: tuple[int, int, int, int]) -> None:
    """A white line with a dark edge around the rectangle, in place, on the outside: it covers no color."""
    height, width = painted.shape[:2]
    left, top, right, bottom = rectangle
    thick = max(1, round(min(height, width) / 250))
    inside = painted[top:bottom, left:right].copy()
    for grown, value in ((2 * thick, _DARK), (thick, _LIGHT)):
        rows = slice(max(0, top - grown), bottom + grown)
        painted[rows, max(0, left - grown) : right + grown] = value
    painted[top:bottom, left:right] = inside
