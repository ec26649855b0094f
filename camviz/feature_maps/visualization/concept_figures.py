"""A figure of concepts: one row per concept with its crops, its maps over images, and its importance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from camviz.render.bar import number
from camviz.render.color import settled
from camviz.render.paper import compose
from camviz.render.sheet import Row, Sheet, Tile
from camviz.render.tiles import painted
from camviz.types import Figure, Look, Pixels, SaliencyMap, Style

TILE = 20.0  # mm
_SIDE = 256  # pixels of an importance bar
_BAR, _WHISKER = (120, 150, 190), (30, 30, 30)


@dataclass(frozen=True, eq=False)
class ConceptRow:
    """A concept as it is drawn. `importance` is (mean, low, high); `match` and the interval may be NaN."""

    number: int
    importance: tuple[float, float, float]
    match: float
    crops: Sequence[Pixels] = field(repr=False)
    maps: Sequence[SaliencyMap] = field(repr=False)


def concept_figure(
    concepts: Sequence[ConceptRow], caption: Sequence[str], format: str, style: Style, facts: dict[str, object]
) -> Figure:
    """Draw the concepts in their order; all bars share one scale, the maps of each concept another."""
    crops, maps = (max(len(getattr(each, name)) for each in concepts) for name in ("crops", "maps"))
    ends = [value for each in concepts for value in each.importance if math.isfinite(value)]
    low, high = min(0.0, *ends), max(0.0, *ends)
    rows = []
    for each in concepts:
        look = settled(Look(scale="row", style=style), [map.values for map in each.maps])
        tiles: list[Tile | None] = [Tile(pixels, "crop") for pixels in each.crops]
        tiles += [None] * (crops - len(tiles))
        tiles += [Tile(painted(map, map.image.pixels, look), "map") for map in each.maps]
        tiles += [None] * (crops + maps - len(tiles))
        mean, least, most = each.importance
        spread = () if math.isnan(least) else (f"[{number(least)}, {number(most)}]",)
        tiles.append(Tile(_bar(each.importance, low, high), "importance", (number(mean), *spread)))
        match = "" if math.isnan(each.match) else f", match {each.match:.2f}"
        rows.append(Row(tuple(tiles), f"concept {each.number}{match}"))
    return compose("concepts", Sheet(tuple(rows), caption=tuple(caption), tile=TILE), format, style, facts)


def _bar(importance: tuple[float, float, float], low: float, high: float) -> Pixels:
    """Return a horizontal bar from 0 to the mean, with its interval as a line, on an axis from `low` to `high`."""
    pixels = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    room = (high - low) or 1.0

    def column(value: float) -> int:
        return round((value - low) / room * (_SIDE - 5)) + 2

    mean, least, most = importance
    zero, middle, half = column(0), _SIDE // 2, _SIDE // 8
    start, stop = sorted((zero, column(mean)))
    pixels[middle - half : middle + half, start:stop] = _BAR
    pixels[middle - 2 * half : middle + 2 * half, zero - 1 : zero + 1] = _WHISKER
    if math.isfinite(least):
        pixels[middle - 3 : middle + 3, column(least) : column(most)] = _WHISKER
        for end in (column(least), column(most)):
            pixels[middle - half // 2 : middle + half // 2, end - 2 : end + 2] = _WHISKER
    return pixels
