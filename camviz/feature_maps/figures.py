"""Figures of feature maps: channels, one reduced map, groups, and the way through the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from camviz.errors import RequestError
from camviz.feature_maps.channels import parse_channels
from camviz.render import color
from camviz.render.bar import Bar, number
from camviz.render.canvas import below, beside, blank, margin
from camviz.render.frame import Line, framed, percent, text_size
from camviz.render.montage import PAGE, columns_for, enlarged, montage, tile_size
from camviz.render.panel import resized
from camviz.render.text import INK, line, shorten
from camviz.types import Figure, Pixels, Sign

if TYPE_CHECKING:  # `FeatureMaps.montage` draws with this file
    from camviz.feature_maps.maps import FeatureMaps, Ranking, Reduction

SCALES = ("channel", "layer", "run")
_TEXT = 17
_DEVIATIONS = 2.5  # of each principal component have full color


@dataclass(frozen=True)
class Style:
    """How feature figures are drawn. `top` 0: a page's worth. `within`: the run's limits, for scale "run"."""

    rank: Ranking = "energy"
    top: int = 0
    channels: tuple[str, ...] = ()
    scale: str = "layer"
    colormap: str | None = None
    suffix: str = ".png"
    within: color.Limits | None = None


_PAGE_TILES = 48


def channels(maps: FeatureMaps, **settings: Any) -> Figure:
    """The layer's channels as a page of numbered tiles, the first by rank first; settings as in `Style`.

    Each tile is labeled with its number and its share of the layer's energy. Dead channels are counted, not drawn.
    """
    style = Style(**settings)
    _check(style)
    chosen, order = _choose(maps, style)
    values = maps.values[chosen]
    sign: Sign = "both" if maps.signed else "positive"
    colormap = style.colormap or (color.DIVERGING if sign == "both" else color.SEQUENTIAL)
    within = style.within or color.limits(maps.values, sign)
    count = max(1, len(chosen))
    wide = PAGE if count <= 4 * _PAGE_TILES else 4 * PAGE // 2
    height, width = tile_size(count, values.shape[1], values.shape[2], wide)
    if style.scale == "channel":
        painted = [color.colorise(one, color.limits(one, sign), colormap) for one in values]
        tiles = np.stack(painted) if painted else np.zeros((0, *values.shape[1:], 3), np.uint8)
    else:
        flat = color.colorise(values.reshape(len(values) * values.shape[1], values.shape[2]), within, colormap)
        tiles = flat.reshape(*values.shape, 3)
    shares = maps.shares
    labels = [f"{k} · {_share(shares[k])}" for k in chosen]
    body = montage(enlarged(tiles, height, width), labels, columns_for(count, *values.shape[1:]))
    bar = None if style.scale == "channel" else Bar(within, colormap, sign)
    drawn = f"{len(chosen)} of {len(maps.values)} channels" + ("" if style.channels else f" by {style.rank}")
    dead = int(maps.dead.sum())
    facts = [drawn, f"{percent(float(shares[chosen].sum()))} of the energy", f"{dead} dead" if dead else ""]
    facts.append("each tile has its own scale" if style.scale == "channel" else "")
    facts.append("the layer is silent: nothing to draw" if not len(chosen) else "")
    figure = page(body, maps, facts, bar)
    return Figure("features", style.suffix, figure, facts={"channels": chosen, "dead": dead, "alive": len(order)})


def _check(style: Style) -> None:
    if style.scale not in SCALES:
        raise RequestError(f"no scale '{style.scale}'", f"one of: {', '.join(SCALES)}")


def _choose(maps: FeatureMaps, style: Style) -> tuple[list[int], list[int]]:
    """(channels to draw, all that could be)."""
    total = len(maps.values)
    order = maps.order(style.rank)
    if style.channels:
        return parse_channels(style.channels, total, maps.layer), order
    return order[: style.top or _PAGE_TILES], order


def _share(share: float) -> str:
    return f"{share:.1%}" if share >= 0.0005 else "<0.1%"


def reduction(maps: FeatureMaps, how: Reduction, overlay: bool = False, alpha: float = 0.6, **settings: Any) -> Figure:
    """One image of all channels: mean, sum, max, l2 in colors, "pca" as RGB; `overlay` puts it on the image."""
    style = Style(**settings)
    values = maps.reduce(how)
    painted, bar, facts = _painted(maps, how, values, style)
    if overlay:
        tiles = [resized(_overlay(maps, painted, alpha))]
    else:
        height, width = (round(side * 480 / max(values.shape[:2])) for side in values.shape[:2])
        tiles = [enlarged(painted[None], max(1, height), max(1, width))[0]]
    figure = page(tiles[0], maps, [how, *facts], bar)
    return Figure(f"features-{how}", style.suffix, figure, facts={"reduce": how})


def _painted(
    maps: FeatureMaps, how: str, values: NDArray[np.float32], style: Style
) -> tuple[Pixels, Bar | None, list[str]]:
    """A reduced map in colors (h, w, 3), its color bar, and what is to be said of it."""
    if how == "pca":
        from camviz.feature_maps.incremental_pca import IncrementalPCA

        basis = maps.basis or IncrementalPCA.of(maps.values).basis()
        reach = np.where(basis.deviations > 0, _DEVIATIONS * basis.deviations, 1)
        share = np.clip(values / reach, -1, 1) / 2 + 0.5
        told = "one basis for all images" if maps.basis is not None else "basis of this image"
        return (
            np.rint(np.nan_to_num(share) * 255).astype(np.uint8),
            None,
            ["red, green, blue: components 1, 2, 3", told],
        )
    sign: Sign = "both" if (values < 0).any() else "positive"
    colormap = style.colormap or (color.DIVERGING if sign == "both" else color.SEQUENTIAL)
    within = style.within or color.limits(values, sign)
    if sign == "both" and within.low >= 0:
        within = color.Limits(-within.high, within.high)
    return color.colorise(values, within, colormap), Bar(within, colormap, sign), []


def _overlay(maps: FeatureMaps, painted: Pixels, alpha: float) -> Pixels:
    """The painted map on the image, through its view; outside it the image alone."""
    planes = [maps.view.place(painted[:, :, k].astype(np.float32)) for k in range(3)]
    placed = np.stack(planes, axis=2)
    pixels = maps.image.pixels.astype(np.float32)
    blended = np.where(np.isnan(placed), pixels, (1 - alpha) * pixels + alpha * np.nan_to_num(placed))
    return np.rint(blended).astype(np.uint8)


def clusters(maps: FeatureMaps, count: int = 8, **settings: Any) -> Figure:
    """One tile per group of channels that look alike: how many, and their share of the layer's energy."""
    style = Style(**settings)
    groups = maps.groups(count)
    values = (
        np.stack([group.values for group in groups]) if groups else np.zeros((0, *maps.values.shape[1:]), np.float32)
    )
    sign: Sign = "both" if (values < 0).any() else "positive"
    colormap = style.colormap or (color.DIVERGING if sign == "both" else color.SEQUENTIAL)
    painted = [color.colorise(one, color.limits(one, sign), colormap) for one in values]
    tiles = np.stack(painted) if painted else np.zeros((0, *values.shape[1:], 3), np.uint8)
    size = tile_size(max(1, len(groups)), values.shape[1], values.shape[2])
    labels = [f"{len(g.channels)} channels · {_share(g.share)}" for g in groups]
    across = columns_for(len(groups), *values.shape[1:])
    body = montage(enlarged(tiles, *size), labels, across)
    told = [f"{len(groups)} groups of channels that look alike", "mean map of each, each tile has its own scale"]
    figure = page(body, maps, told, None)
    facts = {"groups": [{"channels": list(g.channels), "share": round(g.share, 6)} for g in groups]}
    return Figure("features-cluster", style.suffix, figure, facts=facts)


def strip(layers: Sequence[FeatureMaps], how: Reduction = "l2", **settings: Any) -> Figure:
    """The image through the model: one reduced tile per layer, with shape, stride and share of zeros."""
    style = Style(**settings)
    first = layers[0]
    tiles = [tile for tile, _ in frames(layers, how, style, 260)]
    rows = -(-len(tiles) // 7)
    across = -(-len(tiles) // rows)
    lines = [beside(tiles[start : start + across], 14) for start in range(0, len(tiles), across)]
    facts = [f"{how} of the channels, each layer has its own scale", f"{len(layers)} layers"]
    facts.append("outlined: what the middle unit sees" if any(one.receptive_field for one in layers) else "")
    body = framed(below(lines, 14), [Line((first.model,), title=True), Line(tuple(facts))], None, _TEXT, flush=True)
    told = [{"layer": one.layer, "shape": list(one.values.shape), "sparsity": round(one.sparsity, 4)} for one in layers]
    return Figure("features-strip", style.suffix, margin(body, _TEXT), facts={"layers": told})


def frames(layers: Sequence[FeatureMaps], how: Reduction, style: Style, side: int) -> list[tuple[Pixels, str]]:
    """(captioned tile, name) of the image and of each layer, all of one size, first to last."""
    import cv2

    first = layers[0]
    left, top, right, bottom = first.view.rectangle
    seen = first.image.pixels[top:bottom, left:right]
    scale = side / max(first.view.size)
    width, height = (max(1, round(length * scale)) for length in first.view.size)
    shown = np.asarray(cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    size = f"{first.view.size[0]}×{first.view.size[1]}"
    found = [(_captioned(shown, [first.image.name, f"input {size}", ""]), "input")]
    for one in layers:
        painted, _, _ = _painted(one, how, one.reduce(how), replace(style, within=None))
        shape = "×".join(str(length) for length in one.values.shape)
        words = [one.layer, f"{shape} · stride {number(one.stride)}", f"{one.sparsity:.0%} zeros"]
        if not np.isfinite(one.values).all():
            words[2] = "NaN or infinite values"
        tile = enlarged(painted[None], height, width)[0].copy()
        if one.receptive_field:
            words[2] += f" · sees {_outlined(tile, one, scale)}"
        found.append((_captioned(tile, words), one.layer))
    return found


def _outlined(tile: Pixels, maps: FeatureMaps, scale: float) -> str:
    """Outline what the middle unit sees of the input on a layer's tile, in place; its side in words."""
    import cv2

    assert maps.receptive_field
    if maps.receptive_field.whole:
        return "all"
    middle = [(length - 1) // 2 for length in maps.values.shape[1:]]
    corners = [round(side * scale) for side in maps.receptive_field.box(middle[0], middle[1])]
    for color_, thick in (((40, 40, 40), 3), ((255, 255, 255), 1)):
        cv2.rectangle(tile, corners[:2], corners[2:], color_, thick)
    down, across = (round(side) for side in maps.receptive_field.size)
    most = "≤ " if maps.receptive_field.bound else ""
    return f"{most}{down} px" if down == across else f"{most}{across}×{down} px"


def _captioned(tile: Pixels, words: Sequence[str]) -> Pixels:
    """A tile with short lines below it, each shortened from the left to the tile's width."""
    size, room = 14, tile.shape[1]
    lines = [line(shorten(text, size, room, "left") or " ", size, INK) for text in words]
    return below([tile, blank(4, 1), *lines])


def page(body: Pixels, maps: FeatureMaps, facts: Sequence[str], bar: Bar | None) -> Pixels:
    """The body with the image's name, the layer and the facts below it, and the bar beside it."""
    shape = "×".join(str(side) for side in maps.values.shape)
    words = (maps.layer, shape, maps.model, *facts)
    if not np.isfinite(maps.values).all():
        words = (*words, "NaN or infinite values in the activations")
    lines = [Line((maps.image.name,), title=True), Line(words)]
    size = text_size(body.shape[1])
    return margin(framed(body, lines, bar, size, flush=True), size)


def run_limits(largest: float, smallest: float) -> color.Limits:
    """One scale for a whole run, from the extremes of its activations."""
    if smallest < 0:
        reach = max(largest, -smallest)
        return color.Limits(-reach, reach)
    return color.Limits(0.0, largest)
