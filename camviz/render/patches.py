"""Patches of images in rows: one row per channel, a number under each patch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from camviz.render import canvas, text
from camviz.render.frame import Line
from camviz.render.sheet import sheet
from camviz.types import Pixels

TILE = 128  # pixels, the long side of a patch
_TEXT = 15


class Row(NamedTuple):
    """A channel's label, and its patches with what stands below each; None for one that cannot be shown."""

    label: str
    patches: Sequence[tuple[Pixels | None, str]]


def tile(pixels: Pixels, side: float) -> Pixels:
    """A patch at the scale where `side` pixels are `TILE`, so that one which the image's edge cuts is not zoomed.

    Averaged when larger, interpolated when smaller.
    """
    import cv2

    height, width = pixels.shape[:2]
    share = TILE / max(side, height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    how = cv2.INTER_AREA if share < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)


def patch_sheet(rows: Sequence[Row], across: int, title: str, facts: Sequence[str]) -> Pixels:
    """The figure; a row with fewer than `across` patches ends in paper."""
    cells: list[list[Pixels | None]] = []
    for row in rows:
        line: list[Pixels | None] = [_cell(pixels, words) for pixels, words in row.patches]
        cells.append(line + [None] * (across - len(line)))
    labels = [row.label for row in rows]
    caption = (Line(tuple(facts)),)
    return sheet(cells, labels, title=title, caption=caption, size=_TEXT)


def _cell(pixels: Pixels | None, words: str) -> Pixels:
    shown = canvas.blank(TILE, TILE) if pixels is None else pixels
    square = canvas.fit(shown, TILE, TILE, "middle", "middle")
    below = text.line(text.shorten(words, _TEXT, TILE), _TEXT, text.FAINT)
    return canvas.below([square, canvas.fit(below, 0, TILE, across="middle")])
