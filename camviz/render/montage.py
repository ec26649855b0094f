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
    """Tiles (n, h, w, 3) in rows of `across`, each with its label centred below it; all labels in one size."""
    from PIL import Image, ImageDraw

    n, height, width, _ = tiles.shape
    size = max(10, min(15, width // 8))
    room = text.line_height(size) if any(labels) else 0
    longest = sorted(labels, key=len)[-8:]  # measuring thousands would take longer than drawing them
    wide = max([width, *(text.width(label, size) + 6 for label in longest)])
    rows = -(-n // across)
    cell_height, cell_width = height + room + _GAP, wide + _GAP
    page = canvas.blank(max(1, rows * cell_height - _GAP), max(1, min(n, across) * cell_width - _GAP))
    for number, tile in enumerate(tiles):
        top, left = (number // across) * cell_height, (number % across) * cell_width + (wide - width) // 2
        page[top : top + height, left : left + width] = tile
    if not room:
        return page
    image = Image.fromarray(page)
    draw = ImageDraw.Draw(image)
    font = text.font_for("".join(labels), size)
    for number, label in enumerate(labels):
        x = (number % across) * cell_width + wide / 2
        y = (number // across) * cell_height + height + round(1.05 * size)
        draw.text((x, y), label, fill=text.INK, font=font, anchor="ms")
    return np.asarray(image)
