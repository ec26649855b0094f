"""A strip: frames of a video side by side with their times, on one color scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from camviz.render.names import method_name, source_name
from camviz.render.painting import bar_of
from camviz.render.paper import compose
from camviz.render.sheet import Row, Sheet, Tile
from camviz.render.tiles import painted, tile_pixels
from camviz.types import Figure, Look, SaliencyMap


class Shot(NamedTuple):
    """The map of a frame, and its time in seconds."""

    seconds: float
    map: SaliencyMap


def strip(shots: Sequence[Shot], look: Look) -> Figure:
    """Draw the frames from left to right, each under its time and its target, with one color bar."""
    tiles = []
    for seconds, each in shots:
        pixels = tile_pixels(each.image.pixels, len(shots), look.style)
        tiles.append(Tile(painted(each, pixels, look), f"{seconds:.1f} s", (each.target,)))
    first = shots[0].map
    bar = bar_of(first, look)
    facts = (method_name(first.method), source_name(first), first.image.name)
    caption = () if look.caption is False else facts
    sheet = Sheet((Row(tuple(tiles)),), caption=caption, bar=None if look.colorbar is False else bar)
    return compose("strip", sheet, look.format, look.style, bar.facts, first.image.name)
