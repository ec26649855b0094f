"""Figures of convolution kernels and position embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from camviz.errors import RequestError, first_of
from camviz.feature_maps.channels import parse_channels
from camviz.feature_maps.filters import FAINT, SIMILAR, Kernels, Positions
from camviz.render.bar import Bar, number
from camviz.render.color import DIVERGING, Limits, colorize, limits
from camviz.render.names import model_name
from camviz.render.paper import compose
from camviz.render.sheet import Row, Sheet, Tile, table
from camviz.types import Figure, Pixels, Style

_TILES = 64  # kernels drawn as tiles by default
_ROWS = 12  # kernels drawn as rows of slices by default
_SLICES = 12  # slices per row
_STRIPES = 48  # kernels of single weights drawn as rows by default
_GROUPS = 4  # groups of near-duplicates listed in the caption
_ASPECT = 45  # width / height of a row of weights

Weights = NDArray[np.float32]


@dataclass(frozen=True)
class KernelStyle:
    """How kernels are drawn. `top` 0: a figure's worth; `each`: normalize every kernel to its own maximum."""

    top: int = 0
    channels: tuple[str, ...] = ()
    each: bool = False
    colormap: str = DIVERGING
    format: str = "png"
    style: Style = field(default_factory=Style)


def kind(kernels: Kernels) -> str:
    """Return how kernels are drawn: rgb (three input channels), tiles (one), weights (1×1) or slices (all others)."""
    channels, *window = kernels.weights.shape[1:]
    if window == [1, 1]:
        return "weights"
    if channels == 3 and kernels.groups == 1:
        return "rgb"
    return "tiles" if channels == 1 else "slices"


def draw_kernels(kernels: Kernels, style: KernelStyle) -> Figure:
    """Draw the strongest kernels, or the chosen ones, on one color scale centered at 0."""
    how, chosen = kind(kernels), _choose(kernels, style)
    within = limits(kernels.weights[kernels.finite], "both")
    labels = [_label(k, float(kernels.norms[k])) for k in chosen]
    bar: Bar | None = None if style.each or how == "rgb" else Bar(within, style.colormap, "both", "weight")
    facts: list[str] = ["each kernel normalized to its maximum"] if style.each else []
    if how in ("rgb", "tiles"):
        weights = kernels.weights[chosen] if how == "rgb" else kernels.weights[chosen][:, 0]
        scales = [limits(kernel, "both") if style.each else within for kernel in weights]
        painted = [_painted(kernel, scale, style.colormap) for kernel, scale in zip(weights, scales, strict=True)]
        tiles = [Tile(pixels, notes=(label,)) for pixels, label in zip(painted, labels, strict=True)]
        rows = table(tiles, style.style)
        facts += [f"mid-gray is 0, full color ±{number(within.high)}"] if how == "rgb" and not style.each else []
    elif how == "weights":
        rows = _rows_of_weights(kernels.weights[chosen][:, :, 0, 0], labels, within, style.colormap)
        facts = [f"1×1: one stripe per input channel, 0 to {kernels.weights.shape[1] - 1} from the left"]
    else:
        rows, facts = _slices(kernels, chosen, labels, within, style)
    groups = kernels.duplicates()
    shape = "×".join(map(str, kernels.weights.shape))
    words = (f"{kernels.layer} of {model_name(kernels.model)}", shape, *facts, *_words(kernels, chosen, style, groups))
    recorded = {
        "drawn": how,
        "shape": list(kernels.weights.shape),
        "groups": kernels.groups,
        "scale": None if style.each else within.high,
        "channels": chosen,
        "norms": [float(norm) if np.isfinite(norm) else None for norm in kernels.norms[chosen]],
        "faint": kernels.faint,
        "near_duplicates": [list(group) for group in groups],
    }
    sheet = Sheet(rows, caption=words, bar=bar, tile=150.0 if how == "weights" else 30.0)
    return compose("filters", sheet, style.format, style.style, recorded, kernels.layer)


def _choose(kernels: Kernels, style: KernelStyle) -> list[int]:
    count = len(kernels.weights)
    if style.channels:
        return parse_channels(style.channels, count, kernels.layer)
    if style.top > count:
        raise RequestError(
            f"--top {style.top} is more than the {count} kernels of layer '{kernels.layer}'", f"--top {count}"
        )
    default = {"weights": _STRIPES, "slices": _ROWS}.get(kind(kernels), _TILES)
    return kernels.order()[: style.top or default]


def _painted(kernel: Weights, within: Limits, colormap: str) -> Pixels:
    """Color a kernel (h, w) with a diverging map, or (3, h, w) as RGB with mid-gray for 0: (h, w, 3)."""
    if kernel.ndim == 3:
        share = np.nan_to_num(kernel / np.float32(within.high)).transpose(1, 2, 0)
        return np.asarray(np.rint(127.51 + 127.49 * share.clip(-1, 1)), np.uint8)  # 0 is 128
    return colorize(kernel, within, colormap)


def _rows_of_weights(weights: Weights, labels: Sequence[str], within: Limits, colormap: str) -> tuple[Row, ...]:
    """Return one row per kernel of single weights (n, c): a stripe per input channel."""
    painted = colorize(weights, within, colormap)
    times = max(1, -(-_ASPECT // weights.shape[1]))  # a row is _ASPECT times as wide as high
    high = max(1, round(weights.shape[1] * times / _ASPECT))
    stripes = [np.repeat(np.repeat(row[None], high, axis=0), times, axis=1) for row in painted]
    return tuple(Row((Tile(pixels),), label) for pixels, label in zip(stripes, labels, strict=True))


def _slices(
    kernels: Kernels, chosen: Sequence[int], labels: Sequence[str], within: Limits, style: KernelStyle
) -> tuple[tuple[Row, ...], list[str]]:
    """Return each kernel as a row of its strongest input channels, or of all if they are few."""
    total = kernels.weights.shape[1]
    count = min(total, _SLICES)
    picked = [sorted(kernels.slices(k, count)) if total <= count else kernels.slices(k, count) for k in chosen]
    rows = []
    for k, channels, label in zip(chosen, picked, labels, strict=True):
        painted = [_painted(kernels.weights[k][c], within, style.colormap) for c in channels]
        notes = [(str(kernels.source(k, c)),) for c in channels]
        tiles = tuple(Tile(pixels, notes=note) for pixels, note in zip(painted, notes, strict=True))
        rows.append(Row(tiles, label))
    if total <= count:
        return tuple(rows), ["all input channels, numbered"]
    weights = [kernels.weights[k][channels] for k, channels in zip(chosen, picked, strict=True)]
    energy = sum(float(np.square(part, dtype=np.float64).sum()) for part in weights)
    share = energy / max(float(np.square(kernels.norms[list(chosen)]).sum()), 1e-300)
    fact = (
        f"the {count} strongest of {total} input channels of each kernel, numbered: {100 * share:.0f} % of its energy"
    )
    return tuple(rows), [fact]


def _words(kernels: Kernels, chosen: Sequence[int], style: KernelStyle, groups: list[tuple[int, ...]]) -> list[str]:
    """Return the facts about all kernels for the caption."""
    count, norms = len(kernels.weights), kernels.norms[kernels.finite]
    order = "" if style.channels else ", strongest first"
    words = [f"{len(chosen)} of {count} kernels{order}: number · norm"]
    if len(norms):
        median = number(float(np.median(norms)))
        words.append(f"norms {number(norms.min())} to {number(norms.max())}, median {median}")
    if kernels.faint:
        words.append(f"{len(kernels.faint)} below {100 * FAINT:g} % of the largest norm")
    if not kernels.finite.all():
        bad = [str(k) for k in np.flatnonzero(~kernels.finite)]
        words.append(f"NaN or infinite weights in {first_of(bad)}")
    duplicates = f"{len(groups)} group{'s' * (len(groups) != 1)} of near-duplicates" if groups else "no near-duplicates"
    words.append(f"{duplicates} (cosine similarity ≥ {SIMILAR})")
    words += [_chain(group) for group in groups[:_GROUPS]]
    return [*words, "…"] if len(groups) > _GROUPS else words


def _chain(group: Sequence[int], count: int = 6) -> str:
    """Join the kernels of a group of near-duplicates."""
    return " = ".join(map(str, group[:count])) + (f" = … ({len(group)})" if len(group) > count else "")


def draw_positions(
    positions: Positions, format: str = "png", colormap: str = DIVERGING, style: Style | None = None
) -> Figure:
    """Draw for each patch a small grid: the similarity of its position embedding to that of every patch."""
    h, w = positions.cosines.shape[:2]
    within = Limits(-1.0, 1.0)
    times = max(1, min(24, 1600 // (max(h, w) * (max(h, w) + 1))))
    cells = colorize(positions.cosines.reshape(h * w * h, w), within, colormap).reshape(h, w, h, w, 3)
    cells = cells.repeat(times, axis=2).repeat(times, axis=3)
    cells = np.pad(cells, ((0, 0), (0, 0), (0, times), (0, times), (0, 0)), constant_values=255)  # gaps
    body = cells.transpose(0, 2, 1, 3, 4).reshape(h * cells.shape[2], w * cells.shape[3], 3)[:-times, :-times]
    words = (
        f"{positions.name} of {model_name(positions.model)}",
        f"{h}×{w} patches",
        "each small grid: cosine similarity of that patch's position embedding to all others",
    )
    bar = Bar(within, colormap, "both", "cosine similarity")
    sheet = Sheet((Row((Tile(np.ascontiguousarray(body)),)),), caption=words, bar=bar, tile=150.0)
    recorded = {"drawn": "positions", "grid": [h, w], **_nearness(positions)}
    return compose("filters", sheet, format, style or Style(), recorded, positions.name)


def _nearness(positions: Positions) -> dict[str, Any]:
    """Return the mean similarity of neighbors and of all pairs."""
    h, w = positions.cosines.shape[:2]
    rows, columns = np.arange(h), np.arange(w)
    across = positions.cosines[rows[:, None], columns[None, :-1], rows[:, None], columns[None, 1:]]
    down = positions.cosines[rows[:-1, None], columns[None], rows[1:, None], columns[None]]
    near = np.concatenate([across.ravel(), down.ravel()])
    others = (float(positions.cosines.sum()) - h * w) / max(1, (h * w) * (h * w - 1))
    return {"neighbors": round(float(near.mean()), 6) if len(near) else None, "others": round(others, 6)}


def _label(kernel: int, norm: float) -> str:
    """Return the number and the norm of a kernel."""
    return f"{kernel} · {number(norm) if np.isfinite(norm) else 'NaN'}"
