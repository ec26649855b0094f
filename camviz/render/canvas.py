"""Blocks of pixels on paper: put beside, below, in the middle. Every figure is made of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from camviz.render import text
from camviz.types import Pixels

Align = Literal["start", "middle", "end"]


def blank(height: int, width: int) -> Pixels:
    """Paper: (height, width, 3)."""
    return np.full((height, width, 3), text.PAPER[0], np.uint8)  # white: one number fills ten times as fast as three


def _offset(room: int, size: int, align: Align) -> int:
    return {"start": 0, "middle": (room - size) // 2, "end": room - size}[align]


def fit(block: Pixels, height: int, width: int, vertical: Align = "start", across: Align = "start") -> Pixels:
    """The block on paper of at least that size; what is larger is never cut."""
    height, width = max(height, block.shape[0]), max(width, block.shape[1])
    if block.shape[:2] == (height, width):
        return block
    paper = blank(height, width)
    top = _offset(height, block.shape[0], vertical)
    left = _offset(width, block.shape[1], across)
    paper[top : top + block.shape[0], left : left + block.shape[1]] = block
    return paper


def beside(blocks: Sequence[Pixels], gap: int = 0, align: Align = "start") -> Pixels:
    """Blocks from left to right."""
    height = max(block.shape[0] for block in blocks)
    parts = [fit(block, height, 0, vertical=align) for block in blocks]
    return np.concatenate(_spaced(parts, blank(height, gap)), axis=1)


def below(blocks: Sequence[Pixels], gap: int = 0, align: Align = "start") -> Pixels:
    """Blocks from top to bottom."""
    width = max(block.shape[1] for block in blocks)
    parts = [fit(block, 0, width, across=align) for block in blocks]
    return np.concatenate(_spaced(parts, blank(gap, width)), axis=0)


def _spaced(parts: list[Pixels], gap: Pixels) -> list[Pixels]:
    return [piece for part in parts for piece in (gap, part)][1:]


def margin(block: Pixels, size: int) -> Pixels:
    """The block with paper on all four sides."""
    return np.pad(block, ((size, size), (size, size), (0, 0)), constant_values=text.PAPER[0])
