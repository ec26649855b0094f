"""Layouts the size of the picture: the map over the picture, and the map alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from camviz.render import RENDERERS, color
from camviz.render.bar import Bar
from camviz.render.encoding import suffix
from camviz.render.frame import caption, framed
from camviz.render.marks import draw_marks
from camviz.types import Artefact, Look, Picture, Pixels, SaliencyMap

_OUTSIDE = 128  # grey where the network saw nothing
_LIGHT, _DARK = 255, 40


@RENDERERS.add("overlay")
def overlay(picture: Picture, map: SaliencyMap, look: Look) -> Artefact:
    """The map blended over the picture."""
    return artefact("overlay", _finished(blend(picture.pixels, map, look), map, look), map, look)


@RENDERERS.add("heatmap")
def heatmap(picture: Picture, map: SaliencyMap, look: Look) -> Artefact:
    """The map's colours alone, grey where the network saw nothing."""
    colours, nothing = _colours(map, look)
    np.copyto(colours, np.uint8(_OUTSIDE), where=nothing)
    draw_marks(colours, map.marks, map.view)
    return artefact("heatmap", _finished(colours, map, look), map, look)


def blend(pixels: Pixels, map: SaliencyMap, look: Look) -> Pixels:
    """(1 - alpha) · picture + alpha · colour inside the view; outside it the picture, the view outlined; then marks."""
    import cv2

    colours, nothing = _colours(map, look)
    painted = np.asarray(cv2.addWeighted(pixels, 1 - look.alpha, colours, look.alpha, 0), np.uint8)
    if nothing.any():
        np.copyto(painted, pixels, where=nothing)
    if map.view.partial:
        _outline(painted, map.view.rectangle)
    draw_marks(painted, map.marks, map.view)
    return painted


def bar_of(map: SaliencyMap, look: Look) -> Bar:
    """The colours of a map under a look. The limits are those of the raw, layer-sized map."""
    return Bar(color.limits(map.values, look.sign, look.scale), color.chosen(look), look.sign)


def artefact(kind: str, pixels: Pixels, map: SaliencyMap, look: Look) -> Artefact:
    """Pixels ready to be written, with what the colours mean."""
    return Artefact(kind, suffix(look.format), pixels, facts=bar_of(map, look).facts)


def _colours(map: SaliencyMap, look: Look) -> tuple[Pixels, NDArray[np.bool_]]:
    """The placed map in colours (H, W, 3), and where it has no value (H, W, 1)."""
    bar = bar_of(map, look)
    placed = map.view.place(map.values)
    colours = color.colourise(color.oriented(placed, look.sign), bar.within, bar.colormap)
    return colours, np.isnan(placed)[..., None]


def _finished(painted: Pixels, map: SaliencyMap, look: Look) -> Pixels:
    """With a colour bar and a caption where the look asks for them; else the pixels as they are."""
    return framed(
        painted, caption(map, look.sign) if look.caption else (), bar_of(map, look) if look.colorbar else None
    )


def _outline(painted: Pixels, rectangle: tuple[int, int, int, int]) -> None:
    """A white line with a dark edge around the rectangle, in place, on the outside: it covers no colour."""
    height, width = painted.shape[:2]
    left, top, right, bottom = rectangle
    thick = max(1, round(min(height, width) / 250))
    inside = painted[top:bottom, left:right].copy()
    for grown, value in ((2 * thick, _DARK), (thick, _LIGHT)):
        rows = slice(max(0, top - grown), bottom + grown)
        painted[rows, max(0, left - grown) : right + grown] = value
    painted[top:bottom, left:right] = inside
