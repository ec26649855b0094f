"""Kernels as images: in color, slice by slice, as rows of weights; and the likeness of positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from camviz.render import canvas, text
from camviz.render.bar import Bar, number
from camviz.render.color import DIVERGING, Limits, colorise, limits
from camviz.render.frame import Line, framed, text_size
from camviz.render.montage import columns_for, enlarged, montage
from camviz.types import Pixels

Weights = NDArray[np.float32]  # (n, c, h, w)
_SIDE = 104  # pixels, about the long side of one kernel
_LARGE = 150  # when there are few
_SLICE = 104
_WIDE = 960  # pixels, about the width of a row of weights
_TEXT = 15


def finite_limits(weights: Weights) -> Limits:
    """Zero in the middle, the largest magnitude at the end."""
    return limits(weights, "both")


def _tiles(kernels: Weights, within: Limits, colormap: str) -> Pixels:
    """(n, h, w) in the colors of a diverging map, or (n, 3, h, w) as RGB with mid-gray for zero: (n, h, w, 3)."""
    if kernels.ndim == 4:
        share = np.nan_to_num(kernels / np.float32(within.high)).transpose(0, 2, 3, 1)
        return np.asarray(np.rint(127.51 + 127.49 * share.clip(-1, 1)), np.uint8)  # zero is 128
    return colorise(kernels.reshape(-1, kernels.shape[-1]), within, colormap).reshape(*kernels.shape, 3)


def _scaled(tiles: Pixels, side: int = _SIDE) -> Pixels:
    """Each weight a square of whole pixels."""
    times = max(1, round(side / max(tiles.shape[1:3])))
    return enlarged(tiles, tiles.shape[1] * times, tiles.shape[2] * times)


def page(
    kernels: Weights, labels: Sequence[str], within: Limits, colormap: str = DIVERGING, each: bool = False
) -> Pixels:
    """Kernels (n, h, w) or (n, 3, h, w) as one page of numbered tiles; `each` has a scale of its own."""
    if each:
        tiles = np.concatenate([_tiles(one[None], finite_limits(one), colormap) for one in kernels])
    else:
        tiles = _tiles(kernels, within, colormap)
    tiles = _scaled(tiles, _LARGE if len(tiles) <= 16 else _SIDE)
    return montage(tiles, labels, columns_for(len(tiles), *tiles.shape[1:3]))


def rows_of_slices(
    kernels: Sequence[Weights], labels: Sequence[str], channels: Sequence[Sequence[int]], within: Limits, colormap: str
) -> Pixels:
    """One row per kernel: its slices (c, h, w), each with the number of its input channel below it."""
    lines = []
    for slices, own in zip(kernels, channels, strict=True):
        tiles = _scaled(_tiles(slices, within, colormap), _SLICE)
        lines.append(montage(tiles, [str(channel) for channel in own], len(tiles)))
    return _labeled(lines, labels, 8)


def rows_of_weights(weights: NDArray[np.float32], labels: Sequence[str], within: Limits, colormap: str) -> Pixels:
    """One row per kernel of single weights (n, c): a stripe per input channel, channel 0 at the left."""
    times = max(1, _WIDE // weights.shape[1])
    painted = colorise(weights, within, colormap)
    stripes = [np.repeat(np.repeat(row[None], text.line_height(_TEXT), axis=0), times, axis=1) for row in painted]
    return _labeled(stripes, labels, 1)


def _labeled(lines: Sequence[Pixels], labels: Sequence[str], gap: int) -> Pixels:
    """Lines below each other with right-aligned labels before them."""
    drawn = [text.line(label, _TEXT) for label in labels]
    widest = max(label.shape[1] for label in drawn)
    middle = [canvas.fit(label, 0, widest, across="end") for label in drawn]
    rows = [canvas.beside([label, line], 10, "middle") for label, line in zip(middle, lines, strict=True)]
    return canvas.below(rows, gap)


def grid_of_grids(cosines: NDArray[np.float32], colormap: str = DIVERGING) -> tuple[Pixels, Bar]:
    """Cosines (h, w, h, w) as h × w small grids, each where its patch is in the image; with its color bar."""
    h, w = cosines.shape[:2]
    within = Limits(-1.0, 1.0)
    times = max(1, min(24, 1100 // (max(h, w) * (max(h, w) + 1))))
    tiles = _tiles(cosines.reshape(h * w, h, w), within, colormap)
    tiles = enlarged(tiles, h * times, w * times)
    return montage(tiles, [""] * (h * w), w), Bar(within, colormap, "both")


def finished(body: Pixels, title: Sequence[str], facts: Sequence[Any], bar: Bar | None = None) -> Pixels:
    """The figure: the body, a title and the small print below it, paper around."""
    size = text_size(body.shape[1])
    lines = (Line(tuple(title), title=True), Line(tuple(fact for fact in facts if fact)))
    return canvas.margin(framed(body, lines, bar, size, flush=True), size)


def label(kernel: int, norm: float) -> str:
    """What stands at a kernel: its number and its norm."""
    return f"{kernel} · {number(norm) if np.isfinite(norm) else 'NaN'}"
