"""A labeled grid of images: one row and one column per facet (image, method, layer, target, model)."""

from __future__ import annotations

from collections.abc import Sequence

from camviz.render import canvas, text
from camviz.render.bar import Bar
from camviz.render.frame import NARROWEST, Line, framed, text_size
from camviz.types import Pixels

_SMALLEST = 64  # pixels a cell has at least, so that a label says something
_LABEL_SHARE = 0.3  # of the cells' width is what the labels of the rows may take, at most
_LABEL_ROOM = 480


def sheet(
    cells: Sequence[Sequence[Pixels | None]],
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    title: str = "",
    bar: Bar | None = None,
    caption: Sequence[Line] = (),
    size: int = 0,
) -> Pixels:
    """Equal cells in rows and columns with labels; an empty cell stays paper. No labels: no room for them.

    An image smaller than the largest stands in the middle of its cell, pixel for pixel. The labels must
    be as many as the rows and the columns. `size` is that of the text in pixels; 0 chooses it by the width.
    """
    filled = [cell for line in cells for cell in line if cell is not None]
    across = max((len(line) for line in cells), default=0) or 1
    if (rows and len(rows) != len(cells)) or (columns and len(columns) != across):
        raise ValueError(f"{len(cells)} × {across} cells, {len(rows)} × {len(columns)} labels")
    height = max([_SMALLEST if rows else 1, *(cell.shape[0] for cell in filled)])
    width = max([_SMALLEST if columns else 1, *(cell.shape[1] for cell in filled)])
    size = size or text_size(across * width)
    gap = max(2, size // 2)
    labels = _row_labels(rows, size, height, across * width)
    lines = []
    for index, line in enumerate(cells):
        padded = [*line, *[None] * (across - len(line))]
        blocks = [_cell(cell, height, width) for cell in padded]
        lines.append(canvas.beside([*labels[index : index + 1], *blocks], gap))
    block = framed(canvas.below(lines, gap) if lines else canvas.blank(height, width), (), bar, size, flush=True)
    if columns:
        corner = [canvas.blank(1, label.shape[1]) for label in labels[:1]]
        heads = canvas.beside([*corner, *(_label(name, size, width) for name in columns)], gap)
        block = canvas.below([heads, block], gap)
    block = framed(block, caption, None, size, flush=True)
    if title:
        head = text.line(text.shorten(title, size + 4, max(block.shape[1], NARROWEST)), size + 4)
        block = canvas.below([head, block], gap)
    return canvas.margin(block, 2 * gap)


def _cell(image: Pixels | None, height: int, width: int) -> Pixels:
    if image is None:
        return canvas.blank(height, width)
    return canvas.fit(image, height, width, vertical="middle", across="middle")


def _label(name: str, size: int, width: int) -> Pixels:
    label = text.line(text.shorten(name, size, width, "left"), size)
    return canvas.fit(label, 0, width, across="middle")


def _row_labels(rows: Sequence[str], size: int, height: int, width: int) -> list[Pixels]:
    """The labels of the rows as high as the cells, right-aligned; `width` is that of all cells."""
    room = min(_LABEL_ROOM, max(8 * size, int(_LABEL_SHARE * width)))
    drawn = [text.line(text.shorten(name, size, room, "left"), size) for name in rows]
    widest = max((label.shape[1] for label in drawn), default=0)
    return [canvas.fit(label, height, widest, vertical="middle", across="end") for label in drawn]
