"""All maps of an image as one labeled figure: methods (and layers) side by side, targets below each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from camviz.render import RENDERERS, canvas, text
from camviz.render.bar import Bar
from camviz.render.color import fixed_scale
from camviz.render.encoding import suffix
from camviz.render.frame import bar_of, extremes, percent
from camviz.render.overlay import blend
from camviz.render.panel import scaled
from camviz.render.sheet import sheet
from camviz.types import Figure, Image, Look, Pixels, SaliencyMap

_TILE = 360  # pixels, the long side of a tile
_ACROSS = 6  # tiles in a row before a single row is wrapped
_TEXT, _SMALL = 18, 15


@RENDERERS.add("grid", takes="all maps")
def grid(image: Image, maps: Sequence[SaliencyMap], look: Look) -> Figure:
    """One row per target; columns are methods, with their layers when there are several.

    The raw extremes stand below each tile: on its own scale no tile can be compared with another. A scale that the
    tiles share has a color bar.
    """
    pixels = _tile(image.pixels)
    height, width = pixels.shape[:2]
    targets = list(dict.fromkeys((one.target, one.index) for one in maps))
    columns = list(dict.fromkeys(_column(one) for one in maps))
    layers = {one.layer for one in maps if one.layer != "input"}
    tiles: dict[tuple[object, ...], Pixels] = {}
    for one in maps:
        place = ((one.target, one.index), _column(one))
        tiles[place] = _told(blend(pixels, scaled(one, width, height), look), _words(one, look))
    original, bar = _told(pixels, ""), bar_of(maps[0], look) if fixed_scale(look.scale) is not None else None
    names = [_name(column, len(layers) > 1) for column in columns]
    rows = [_target(maps, target) for target in targets]
    if len(targets) == 1:
        line = [tiles[targets[0], column] for column in columns]
        figure = _wrapped([original, *line], [image.name, *names], rows[0], maps[0], bar)
    else:
        cells = [[original, *(tiles.get((target, column)) for column in columns)] for target in targets]
        figure = sheet(cells, rows, [image.name, *names], title=maps[0].model, bar=bar, size=_TEXT)
    return Figure("grid", suffix(look.format), figure, facts=bar.facts if bar else {})


def _words(one: SaliencyMap, look: Look) -> str:
    return ("weak · " if one.facts.get("weak") else "") + extremes(one.values, look.sign)


def _told(tile: Pixels, words: str) -> Pixels:
    """A tile with a line of small print below it."""
    line = text.line(text.shorten(words, _SMALL, tile.shape[1]), _SMALL, text.FAINT)
    return canvas.below([tile, canvas.fit(line, 0, tile.shape[1], across="middle")], 2)


def _wrapped(tiles: list[Pixels], heads: list[str], target: str, first: SaliencyMap, bar: Bar | None) -> Pixels:
    """One row of tiles, broken into several of equal length."""
    rows = -(-len(tiles) // _ACROSS)
    across = -(-len(tiles) // rows)
    title = " · ".join(part for part in (target, first.model) if part)
    sheets = []
    for start in range(0, len(tiles), across):
        line: list[Pixels | None] = [*tiles[start : start + across]]
        names = heads[start : start + across]
        padding = across - len(line)
        cells = [[*line, *[None] * padding]]
        sheets.append(sheet(cells, (), [*names, *[""] * padding], title if start == 0 else "", bar, size=_TEXT))
    return canvas.below(sheets)


def _tile(pixels: Pixels) -> Pixels:
    """The image with a long side of `_TILE` pixels: averaged when larger, interpolated when smaller."""
    import cv2

    height, width = pixels.shape[:2]
    share = _TILE / max(height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(
        cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC), np.uint8
    )


def _column(one: SaliencyMap) -> tuple[str, str, int]:
    return one.layer, one.method, int(one.facts.get("part", 0))


def _name(column: tuple[str, str, int], layers: bool) -> str:
    layer, method, part = column
    return f"{method}{f' {part}' if part else ''}{f' · {layer}' if layers else ''}"


def _target(maps: Sequence[SaliencyMap], target: tuple[str, int | None]) -> str:
    probability = next(one.probability for one in maps if (one.target, one.index) == target)
    return target[0] if probability is None else f"{target[0]} · {percent(probability)}"
