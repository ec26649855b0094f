"""A figure of top-activating patches: one row per channel, the activation below each patch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from camviz.render.paper import compose
from camviz.render.sheet import Row, Sheet, Tile
from camviz.types import Figure, Pixels, Style

_SIDE = 256  # pixels of a square tile
_TILE = 20.0  # mm


def patch_tile(pixels: Pixels, side: float) -> Pixels:
    """Return a patch on a white square, at the scale at which `side` pixels fill it; clipped patches are not zoomed."""
    import cv2

    height, width = pixels.shape[:2]
    share = _SIDE / max(side, height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    resized = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if share < 1 else cv2.INTER_LINEAR)
    square = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    top, left = (_SIDE - size[1]) // 2, (_SIDE - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = resized
    return square


def patch_figure(
    rows: Sequence[tuple[str, Sequence[tuple[Pixels | None, str]]]],
    across: int,
    caption: Sequence[str],
    format: str,
    style: Style,
    facts: dict[str, Any],
) -> Figure:
    """Draw rows of (label, patches with notes); a patch whose image is gone (None) leaves a gap."""
    drawn = []
    for label, patches in rows:
        tiles = [Tile(pixels, notes=(note,)) if pixels is not None else None for pixels, note in patches]
        drawn.append(Row((*tiles, *[None] * (across - len(tiles))), label))
    sheet = Sheet(tuple(drawn), caption=tuple(filter(None, caption)), tile=_TILE)
    return compose("patches", sheet, format, style, facts)
