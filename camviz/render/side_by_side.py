"""Maps of several sides beside the input, with signed differences from the first side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from camviz.render.bar import Bar
from camviz.render.color import DIVERGING, SHARED, Limits, Opacity, blend_tables, fixed_scale, indices, settled
from camviz.render.names import blank_note, scale_label
from camviz.render.painting import bar_of
from camviz.render.sheet import Row, Sheet, Tile
from camviz.render.tiles import painted, tile_pixels
from camviz.types import Image, Look, Map, Pixels, SaliencyMap, Style

_BESIDE = 2  # sides whose differences are in the same row; of more they are below


@dataclass(frozen=True, eq=False)
class Cell:
    """A map with the name of its side and notes below it."""

    name: str
    map: SaliencyMap = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Difference:
    """A signed difference (h, w) of maps on the image, NaN outside a crop."""

    name: str
    values: Map = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Group:
    """One image with the maps of all sides and their differences; `across` is the number of maps in a row."""

    image: Image = field(repr=False)
    notes: tuple[str, ...]
    cells: tuple[Cell, ...]
    differences: tuple[Difference, ...] = ()
    across: int = 0


def side_by_side(groups: Sequence[Group], look: Look, style: Style, caption: Sequence[str] = ()) -> Sheet:
    """Return groups below each other; with scale "row" each has its own color bars, else the last group has them.

    The differences have their own symmetric scale.
    """
    if look.scale == "run":
        look = settled(look, (cell.map.values for group in groups for cell in group.cells), SHARED)
    separate = look.scale == "row"
    shared = largest(difference for group in groups for difference in group.differences)
    rows: list[Row] = []
    for number, group in enumerate(groups):
        scaled = settled(look, (cell.map.values for cell in group.cells))
        reach = largest(group.differences) if separate else shared
        rows += _rows(group, replace(scaled, style=style), reach, separate or number == len(groups) - 1)
    return Sheet(tuple(rows), caption=tuple(caption), tile=60.0)


def largest(differences: Iterable[Difference]) -> float:
    """Return the largest magnitude of differences, at least a tiny number."""
    tops = [np.nanmax(np.abs(each.values), initial=0.0) for each in differences]
    return max([float(np.finfo(np.float32).tiny), *map(float, tops)])


def _rows(group: Group, look: Look, reach: float, bars: bool) -> list[Row]:
    beside = group.differences and len(group.cells) <= _BESIDE
    across = group.across or len(group.cells)
    columns = 1 + across + (len(group.differences) if beside else 0)
    pixels = tile_pixels(group.image.pixels, columns, look.style)
    maps = [_tile(cell, pixels, look) for cell in group.cells]
    differences = [Tile(_difference(each.values, pixels, reach), each.name, each.notes) for each in group.differences]
    limits = Limits(-reach, reach)
    difference = Bar(limits, DIVERGING, "both", "difference", Opacity(), first=columns - len(differences))
    chunks = [maps[start : start + across] for start in range(0, len(maps), across)]
    rows = []
    for number, chunk in enumerate(chunks):
        first = Tile(pixels, "Input", group.notes) if number == 0 else None
        last = number == len(chunks) - 1
        own = (_map_bar(group, look, len(chunk)),) if bars and last else ()
        tiles = [first, *chunk, *[None] * (across - len(chunk)), *(differences if beside else [])]
        rows.append(Row(tuple(tiles), bars=(*own, difference) if own and beside else own))
    if differences and not beside:
        below = [None] * (columns - len(differences)) + differences
        rows.append(Row(tuple(below), bars=(difference,) if bars else ()))
    return rows


def _tile(cell: Cell, pixels: Pixels, look: Look) -> Tile:
    bar = bar_of(cell.map, look)
    notes = (*cell.notes, blank_note(cell.map.values, bar.sign))
    return Tile(painted(cell.map, pixels, look), cell.name, notes, framed=bar.opacity is None)


def _map_bar(group: Group, look: Look, last: int) -> Bar:
    """Return the color bar of the maps, relative where each is normalized to its own maximum."""
    relative = fixed_scale(look.scale) is None
    labels = list(dict.fromkeys(scale_label(cell.map) for cell in group.cells))
    label = labels[0] if len(labels) == 1 else ""
    bar = bar_of(group.cells[0].map, look)
    return replace(bar, label="share of the maximum" if relative else label, relative=relative, first=1, last=last)


def _difference(values: Map, pixels: Pixels, reach: float) -> Pixels:
    """Return a difference over the light gray image; its opacity grows with the magnitude."""
    import cv2

    height, width = pixels.shape[:2]
    gray = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) // 2 + 127, cv2.COLOR_GRAY2RGB)
    wide = cv2.resize(np.nan_to_num(values), (width, height), interpolation=cv2.INTER_LINEAR)
    colors, keep = blend_tables(DIVERGING, Opacity(), True)
    index = indices(wide, Limits(-reach, reach))
    return np.asarray(cv2.add(cv2.multiply(gray, keep[index], scale=1 / 255), colors[index]), np.uint8)
