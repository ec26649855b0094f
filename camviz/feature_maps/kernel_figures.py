"""Figures of kernels: which drawing suits which convolution, and what is said below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from camviz.errors import RequestError, first_of
from camviz.feature_maps.channels import parse_channels
from camviz.feature_maps.filters import FAINT, SIMILAR, Kernels, Positions
from camviz.render import kernels as drawing
from camviz.render.bar import Bar, number
from camviz.render.color import DIVERGING
from camviz.types import Figure, Pixels

_PAGE = 64  # kernels drawn as tiles when nobody said how many
_ROWS = 12  # kernels drawn as a row of slices
_ACROSS = 12  # slices in such a row
_STRIPES = 48  # kernels drawn as a row of weights
_TOLD = 4  # groups of near-duplicates named in the caption


@dataclass(frozen=True)
class KernelStyle:
    """How kernels are drawn. `top` 0: a page's worth. `each`: every kernel has a scale of its own."""

    top: int = 0
    channels: tuple[str, ...] = ()
    each: bool = False
    colormap: str = DIVERGING
    suffix: str = ".png"


def kind(kernels: Kernels) -> str:
    """rgb: three input channels in color. tiles: one input channel. weights: 1×1. slices: all others."""
    channels, *window = kernels.weights.shape[1:]
    if window == [1, 1]:
        return "weights"
    if channels == 3 and kernels.groups == 1:
        return "rgb"
    return "tiles" if channels == 1 else "slices"


def draw_kernels(kernels: Kernels, style: KernelStyle) -> Figure:
    """The strongest kernels, or those asked for, on one scale with zero in its middle."""
    how, chosen = kind(kernels), _choose(kernels, style)
    weights = kernels.weights[chosen]
    within = drawing.finite_limits(kernels.weights)
    labels = [drawing.label(k, float(kernels.norms[k])) for k in chosen]
    bar: Bar | None = None if style.each or how == "rgb" else Bar(within, style.colormap, "both")
    if how in ("rgb", "tiles"):
        shown = weights if how == "rgb" else weights[:, 0]
        body = drawing.page(shown, labels, within, style.colormap, style.each)
        facts = [_scale(how, within.high, style.each)]
    elif how == "weights":
        body = drawing.rows_of_weights(weights[:, :, 0, 0], labels, within, style.colormap)
        facts = [f"1×1: one stripe per input channel, 0 to {weights.shape[1] - 1} from the left"]
    else:
        body, facts = _slices(kernels, chosen, labels, style)
    groups = kernels.duplicates()
    title = (kernels.layer, "×".join(map(str, kernels.weights.shape)), kernels.model)
    figure = drawing.finished(body, title, [*facts, *_words(kernels, chosen, style, groups)], bar)
    told = {
        "drawn": how,
        "shape": list(kernels.weights.shape),
        "groups": kernels.groups,
        "scale": None if style.each else within.high,
        "channels": chosen,
        "norms": [float(norm) if np.isfinite(norm) else None for norm in kernels.norms[chosen]],
        "faint": kernels.faint,
        "near_duplicates": [list(group) for group in groups],
    }
    return Figure("filters", style.suffix, figure, facts=told)


def _choose(kernels: Kernels, style: KernelStyle) -> list[int]:
    count = len(kernels.weights)
    if style.channels:
        return parse_channels(style.channels, count, kernels.layer)
    if style.top > count:
        raise RequestError(
            f"--top {style.top} is more than the {count} kernels of layer '{kernels.layer}'", f"--top {count}"
        )
    page = {"weights": _STRIPES, "slices": _ROWS}.get(kind(kernels), _PAGE)
    return kernels.order()[: style.top or page]


def _scale(how: str, top: float, each: bool) -> str:
    if each:
        return "each kernel has its own scale"
    return f"mid-gray is 0, full color ±{number(top)}" if how == "rgb" else ""


def _slices(
    kernels: Kernels, chosen: Sequence[int], labels: Sequence[str], style: KernelStyle
) -> tuple[Pixels, list[str]]:
    """Each kernel as a row of the input channels that it weighs most, or of all when they are few."""
    total = kernels.weights.shape[1]
    count = min(total, _ACROSS)
    picked = [sorted(kernels.slices(k, count)) if total <= count else kernels.slices(k, count) for k in chosen]
    slices = [kernels.weights[k][own] for k, own in zip(chosen, picked, strict=True)]
    numbers = [[kernels.source(k, c) for c in own] for k, own in zip(chosen, picked, strict=True)]
    within = drawing.finite_limits(kernels.weights)
    body = drawing.rows_of_slices(slices, labels, numbers, within, style.colormap)
    if total <= count:
        return body, ["all input channels, numbered"]
    energy = sum(float(np.square(part, dtype=np.float64).sum()) for part in slices)
    share = energy / max(float(np.square(kernels.norms[list(chosen)]).sum()), 1e-300)
    return body, [f"each kernel's {count} strongest of {total} input channels, numbered: {share:.0%} of its energy"]


def _words(kernels: Kernels, chosen: Sequence[int], style: KernelStyle, groups: list[tuple[int, ...]]) -> list[str]:
    """What the caption says of all kernels."""
    count, norms = len(kernels.weights), kernels.norms[kernels.finite]
    order = "asked for" if style.channels else "strongest first"
    words = [f"{len(chosen)} of {count} kernels, {order}: number · norm"]
    if len(norms):
        words.append(f"norms {number(norms.min())} to {number(norms.max())}, median {number(float(np.median(norms)))}")
    if kernels.faint:
        words.append(f"{len(kernels.faint)} below {FAINT:.0%} of the largest norm")
    if not kernels.finite.all():
        bad = [str(k) for k in np.flatnonzero(~kernels.finite)]
        words.append(f"NaN or infinite weights in {first_of(bad)}")
    told = f"{len(groups)} group(s) of near-duplicates" if groups else "no near-duplicates"
    words.append(f"{told} (cosine of {SIMILAR} or more)")
    words += [
        " = ".join(map(str, group[:6])) + (f" = … ({len(group)})" if len(group) > 6 else "") for group in groups[:_TOLD]
    ]
    return [*words, "…"] if len(groups) > _TOLD else words


def draw_positions(positions: Positions, suffix: str = ".png", colormap: str = DIVERGING) -> Figure:
    """For each patch a small grid: how alike its position embedding is to that of every patch."""
    body, bar = drawing.grid_of_grids(positions.cosines, colormap)
    h, w = positions.cosines.shape[:2]
    facts = (f"{h}×{w} patches", "each small grid: cosine of that patch's position embedding with all others")
    figure = drawing.finished(body, (positions.name, positions.model), facts, bar)
    return Figure("filters", suffix, figure, facts={"drawn": "positions", "grid": [h, w], **_nearness(positions)})


def _nearness(positions: Positions) -> dict[str, Any]:
    """How alike neighbors are, and how alike all pairs are, on average."""
    h, w = positions.cosines.shape[:2]
    rows, columns = np.arange(h), np.arange(w)
    across = positions.cosines[rows[:, None], columns[None, :-1], rows[:, None], columns[None, 1:]]
    down = positions.cosines[rows[:-1, None], columns[None], rows[1:, None], columns[None]]
    near = np.concatenate([across.ravel(), down.ravel()])
    others = (float(positions.cosines.sum()) - h * w) / max(1, (h * w) * (h * w - 1))
    return {"neighbors": round(float(near.mean()), 6) if len(near) else None, "others": round(others, 6)}
