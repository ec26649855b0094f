"""Many small tiles of equal size, each with a short label below it, drawn in one go."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from camviz.render import canvas, text
from camviz.types import Pixels

PAGE = 1600  # pixels, the width a page of tiles aims at
_LARGEST, _SMALLEST = 220, 56  # pixels, the long side of a tile
_GAP = 6
_SHARES = np.arange(256)[:, None] / 255
_INKED = np.rint(text.PAPER + _SHARES * (np.array(text.INK) - text.PAPER)).astype(np.uint8)  # colors of letters


def columns_for(count: int, height: int, width: int) -> int:
    """How many tiles stand in a row, so that a page of tiles (height × width cells) is a little wider than high."""
    if count < 1:
        return 1
    return max(1, min(count, round(math.sqrt(count * 1.5 * height / width))))


def tile_size(count: int, height: int, width: int, page: int = PAGE) -> tuple[int, int]:
    """(height, width) in pixels of one tile: as large as fits the page, within what can be read."""
    across = columns_for(count, height, width)
    side = max(_SMALLEST, min(_LARGEST, page // across - _GAP))
    scale = side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def enlarged(tiles: Pixels, height: int, width: int) -> Pixels:
    """Tiles (n, h, w, 3) at (height, width): cells stay cells when they grow, and are averaged when they shrink."""
    n, h, w, _ = tiles.shape
    if height >= h and width >= w:
        rows, columns = np.arange(height) * h // height, np.arange(width) * w // width
        return tiles[:, rows][:, :, columns]
    import cv2

    resized = [cv2.resize(tile, (width, height), interpolation=cv2.INTER_AREA) for tile in tiles]
    return np.stack(resized).astype(np.uint8) if n else np.zeros((0, height, width, 3), np.uint8)


def montage(tiles: Pixels, labels: Sequence[str], across: int) -> Pixels:
    """Tiles (n, h, w, 3) in rows of `across`, each with its label centered below it; all labels in one size."""
    from PIL import Image, ImageDraw

    n, height, width, _ = tiles.shape
    size = max(10, min(15, width // 8))
    room = text.line_height(size) if any(labels) else 0
    longest = sorted(labels, key=len)[-8:]  # measuring thousands would take longer than drawing them
    wide = max([width, *(text.width(label, size) + 6 for label in longest)])
    rows, across = max(1, -(-n // across)), max(1, min(n, across))
    cell_height, cell_width = height + room + _GAP, wide + _GAP
    page = canvas.blank(rows * cell_height - _GAP, across * cell_width - _GAP)
    first = (wide - width) // 2
    for row in range(rows):
        top, own = row * cell_height, tiles[row * across : (row + 1) * across]
        for column, tile in enumerate(own):
            left = column * cell_width + first
            page[top : top + height, left : left + width] = tile
    if not room:
        return page
    font = text.font_for("".join(labels), size)
    for row in range(rows):  # a strip at a time, in gray: half the work of drawing on the page itself
        strip = Image.new("L", (page.shape[1], room))
        draw = ImageDraw.Draw(strip)
        for column, label in enumerate(labels[row * across : (row + 1) * across]):
            draw.text((column * cell_width + wide / 2, round(1.05 * size)), label, fill=255, font=font, anchor="ms")
        top = row * cell_height + height
        page[top : top + room] = _INKED[np.asarray(strip)]
    return page
