"""A strip: stills of a video side by side, each with its time, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from camviz.render.encoding import suffix
from camviz.render.frame import Line, bar_of
from camviz.render.html import shrunk
from camviz.render.overlay import blend
from camviz.render.panel import resized, scaled
from camviz.render.sheet import sheet
from camviz.types import Figure, Look, SaliencyMap

_TILE = 360  # pixels, the long side of a still


class Shot(NamedTuple):
    """The map of a frame, and when in the video that is, in seconds."""

    seconds: float
    map: SaliencyMap


def strip(shots: Sequence[Shot], look: Look) -> Figure:
    """The stills from left to right, each under its time and what was explained in it, with one color bar."""
    cells, heads = [], []
    for seconds, one in shots:
        pixels = resized(shrunk(one.image.pixels, _TILE))
        height, width = pixels.shape[:2]
        cells.append(blend(pixels, scaled(one, width, height), look))
        heads.append(f"{seconds:.1f} s · {one.target}")
    first = shots[0].map
    names = list(dict.fromkeys(shot.map.target for shot in shots))
    title = Line((", ".join(names),), title=True)
    facts = Line((first.method, first.layer, first.model, first.image.name))
    bar = None if look.colorbar is False else bar_of(first, look)
    lines = () if look.caption is False else (title, facts)
    figure = sheet([cells], columns=heads, bar=bar, caption=lines)
    return Figure("strip", suffix(look.format), figure)
