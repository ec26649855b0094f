"""Tiles of composed figures: images and maps with as many pixels as a tile has dots, captions, framed maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camviz.render.encoding import suffix
from camviz.render.names import blank_note, method_name, source_name, target_name
from camviz.render.painting import bar_of, paint, scaled
from camviz.render.paper import INCH, VECTOR, compose
from camviz.render.sheet import WIDEST, Row, Sheet, Tile, note_points
from camviz.types import Figure, Look, Pixels, SaliencyMap, Style

TILE = 88.0  # mm
_TALL = 1.6  # height / width of a tile, at most
_TINY = 160  # pixels: smaller images are enlarged with visible pixels


def complete(kind: str, pixels: Pixels, map: SaliencyMap, look: Look) -> Figure:
    """Return the figure of drawn pixels, with the color bar and the caption that the look asks for."""
    bar = bar_of(map, look)
    if not look.colorbar and not look.caption and not look.style.width and look.format not in VECTOR:
        return Figure(kind, suffix(look.format), pixels, facts=bar.facts, dpi=look.style.dpi)
    bar = replace(bar, opacity=None) if kind == "heatmap" else bar
    tile = Tile(pixels, target_name(map) if look.caption else "", framed=bar.opacity is None)
    caption = caption_of(map, look) if look.caption else ()
    natural = pixels.shape[1] / look.style.dpi * INCH  # pixel for pixel where that fits a page
    sheet = Sheet((Row((tile,)),), caption=caption, bar=bar if look.colorbar else None, tile=min(natural, WIDEST))
    return compose(kind, sheet, look.format, look.style, bar.facts, map.image.name)


def caption_of(map: SaliencyMap, look: Look) -> tuple[str, ...]:
    """Return the small print below a map: method, layer, model, image, and why nothing can be seen."""
    blank = blank_note(map.values, look.sign)
    facts = (method_name(map.method), source_name(map), map.image.name)
    return tuple(filter(None, (*facts, blank, str(map.facts.get("note", "")))))


def tile_pixels(pixels: Pixels, columns: int, style: Style) -> Pixels:
    """Return an image with as many pixels as a tile has dots; tiny images keep visible pixels."""
    import cv2

    height, width = pixels.shape[:2]
    room = (style.width or WIDEST) / columns
    room = room if style.width else min(room, TILE)
    share = min(room / width, _TALL * room / height) * style.dpi / INCH
    size = (max(1, round(width * share)), max(1, round(height * share)))
    enlarge = cv2.INTER_NEAREST if max(width, height) <= _TINY else cv2.INTER_CUBIC
    how = cv2.INTER_AREA if share < 1 else enlarge
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)


def letters(style: Style) -> int:
    """Return the least height of text drawn on a tile, in pixels."""
    return round(note_points(style) / 72 * style.dpi)


def painted(map: SaliencyMap, pixels: Pixels, look: Look) -> Pixels:
    """Return a map over the pixels of a tile."""
    height, width = pixels.shape[:2]
    return paint(pixels, scaled(map, width, height), look, letters(look.style))
