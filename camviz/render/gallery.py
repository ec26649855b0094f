"""Images in rows, each with its own lines below it: a title, and small print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from camviz.render import canvas, text
from camviz.render.frame import NARROWEST, Line, framed
from camviz.types import Pixels

_SIDE = 224  # pixels a tile is wide at least, so that its lines can be read
_SIZE = 15  # of the text


@dataclass(frozen=True, eq=False)
class Tile:
    """One image, its name, and facts about it, one line each."""

    pixels: Pixels = field(repr=False)
    name: str
    facts: tuple[str, ...] = ()


def gallery(tiles: Sequence[Tile], across: int, caption: Sequence[Line] = ()) -> Pixels:
    """Tiles of one size in rows of `across`; small ones are enlarged by a whole number, pixels stay pixels."""
    if not tiles:
        raise ValueError("a gallery needs a tile")
    times = max(1, -(-_SIDE // tiles[0].pixels.shape[1]))
    blocks = [_block(tile, times) for tile in tiles]
    rows = [canvas.beside(blocks[start : start + across], _SIZE) for start in range(0, len(blocks), across)]
    page = canvas.below(rows, _SIZE)
    page = canvas.fit(page, 0, NARROWEST if caption else 0)
    return canvas.margin(framed(page, caption, None, _SIZE, flush=True), _SIZE)


def _block(tile: Tile, times: int) -> Pixels:
    pixels = np.repeat(np.repeat(tile.pixels, times, 0), times, 1)
    width = pixels.shape[1]
    lines = [text.line(text.shorten(tile.name, _SIZE + 1, width, "left"), _SIZE + 1)]
    lines += [text.line(text.shorten(fact, _SIZE, width), _SIZE, text.FAINT) for fact in tile.facts]
    return canvas.below([pixels, *(canvas.fit(one, 0, width) for one in lines)])
