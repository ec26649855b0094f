"""Figures of feature maps: channels, one reduced map, clusters, and the layers of a model in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from camviz.errors import RequestError
from camviz.feature_maps.channels import parse_channels
from camviz.render import color
from camviz.render.bar import Bar, number, percent
from camviz.render.names import model_name
from camviz.render.paper import compose, to_pixels
from camviz.render.sheet import Row, Sheet, Tile, arrange, table
from camviz.render.tiles import tile_pixels
from camviz.types import Figure, Pixels, Sign, Style, View

if TYPE_CHECKING:  # `FeatureMaps.montage` draws with this file
    from camviz.feature_maps.maps import FeatureMaps, Ranking, Reduction

SCALES = ("channel", "layer", "run")
PERCENTILE = 99.5  # of a layer's activations: a few outliers would wash out all other channels
MAPS = "viridis"  # the color map of activations, which are drawn without the image
_MOST = 48  # channels drawn by default
_SHORT = 200  # channels from which labels are only numbers
_DEVIATIONS = 2.5  # standard deviations of a principal component at full color
_ALPHA = 0.6  # of a reduced map over the image
_DENSER = 0.85  # the same where the background is left as it is
_FRAME = Style(width=60, dpi=180)  # of an animation


@dataclass(frozen=True)
class FeatureStyle:
    """How feature figures are drawn. `top` 0: up to 48 channels; `within`: the limits of the run for scale "run".

    `scale` "": shared by the channels of a layer, separate for each attention head.
    """

    rank: Ranking = "energy"
    top: int = 0
    channels: tuple[str, ...] = ()
    scale: str = ""
    colormap: str | None = None
    format: str = "png"
    style: Style = field(default_factory=Style)
    within: color.Limits | None = None


def channels(maps: FeatureMaps, **settings: Any) -> Figure:
    """Draw the input and the channels of a layer in descending order of rank; settings as in `FeatureStyle`.

    Each tile is labeled with its channel and its share of the layer's energy. Dead channels are counted, not drawn.
    """
    style = FeatureStyle(**settings)
    if style.scale not in ("", *SCALES):
        raise RequestError(f"no scale '{style.scale}'", f"one of: {', '.join(SCALES)}")
    chosen, order = _choose(maps, style)
    values = maps.values[chosen]
    sign: Sign = "both" if maps.signed else "positive"
    colormap = style.colormap or (color.DIVERGING if sign == "both" else MAPS)
    within = style.within or clipped_limits(maps.values, sign)
    each = style.scale == "channel"
    shares = maps.shares
    tiles = []
    for k, channel in zip(chosen, values, strict=True):
        label = f"ch {k} · {_share(shares[k])}" if len(chosen) <= _SHORT else str(k)
        limits = color.limits(channel, sign) if each else within
        tiles.append(Tile(color.colorize(channel, limits, colormap), notes=(label,)))
    dead = int(maps.dead.sum())
    facts = [f"{len(chosen)} of {len(maps.values)} channels" + ("" if style.channels else f" by {style.rank}")]
    facts += [f"{percent(float(shares[chosen].sum()))} of the energy", f"{dead} dead" if dead else ""]
    facts.append("each channel normalized to its maximum" if each else "")
    facts.append("" if chosen else "all activations are zero")
    label = "activation" if style.within else f"activation, clipped at P{PERCENTILE:g}"
    bar = None if each or not chosen else Bar(within, colormap, sign, label)
    recorded = {"channels": chosen, "dead": dead, "alive": len(order)}
    return compose_figure("features", table(tiles, style.style, _input(maps)), maps, facts, bar, style, recorded)


def clipped_limits(values: NDArray[np.float32], sign: Sign) -> color.Limits:
    """Return the limits at the 99.5th percentile of the nonzero activations."""
    magnitudes = np.abs(values) if sign == "both" else values
    active = magnitudes[np.isfinite(magnitudes) & (magnitudes > 0)]
    top = float(np.percentile(active, PERCENTILE)) if active.size else 0.0
    return color.limits(values, sign, f"fixed:{top!r}")


def _choose(maps: FeatureMaps, style: FeatureStyle) -> tuple[list[int], list[int]]:
    """Return (channels to draw, all channels that could be drawn)."""
    total = len(maps.values)
    order = maps.order(style.rank)
    if style.channels:
        return parse_channels(style.channels, total, maps.layer), order
    return order[: style.top or _MOST], order


def _share(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 else "< 0.1 %"


def _input(maps: FeatureMaps, columns: int = 4) -> Tile:
    """Return the part of the image that the model sees, in the proportions of its maps."""
    left, top, right, bottom = maps.view.rectangle
    seen = maps.image.pixels[top:bottom, left:right]
    width, height = maps.view.size
    return Tile(_stretched(tile_pixels(seen, columns, Style()), width, height), notes=("input",))


def _stretched(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return pixels in the proportions width : height."""
    import cv2

    wide = pixels.shape[1]
    return np.asarray(cv2.resize(pixels, (wide, max(1, round(wide * height / width)))), np.uint8)


def reduction(maps: FeatureMaps, how: Reduction, overlay: bool = False, alpha: float = _ALPHA, **kw: Any) -> Figure:
    """Draw the image and one map of all channels: mean, sum, max, l2 in colors, "pca" as RGB.

    With `overlay`, and for "pca", the map is drawn over the image. Settings as in `FeatureStyle`.
    """
    style = FeatureStyle(**kw)
    painted, bar, facts = _painted(maps, how, maps.reduce(how), style)
    if overlay or how == "pca":
        pixels = tile_pixels(maps.image.pixels, 2, style.style)
        tiles = [Tile(pixels, "Input"), Tile(_overlay(maps, pixels, painted, alpha), how.upper())]
    else:
        tiles = [replace(_input(maps, 2), title="Input", notes=()), Tile(painted, how)]
    return compose_figure(f"features-{how}", (Row(tuple(tiles)),), maps, facts, bar, style, {"reduce": how})


def _painted(
    maps: FeatureMaps, how: str, values: NDArray[np.float32], style: FeatureStyle
) -> tuple[Pixels, Bar | None, list[str]]:
    """Return a reduced map in colors (h, w, 3), its color bar, and facts for the caption."""
    if how == "pca":
        from camviz.feature_maps.incremental_pca import IncrementalPCA

        basis = maps.basis or IncrementalPCA.of(maps.values).basis()
        deviations = (basis.inner or basis).deviations
        reach = np.where(deviations > 0, _DEVIATIONS * deviations, 1)
        share = np.clip(values / reach, -1, 1) / 2 + 0.5
        origin = "of all images" if maps.basis is not None else "of this image"
        facts = [f"red, green, blue: principal components 1 to 3 {origin}"]
        if basis.inner:
            facts[0] += f", of the patches whose first component is {'positive' if basis.sign > 0 else 'negative'}"
        return np.rint(np.nan_to_num(share) * 255).astype(np.uint8), None, facts
    sign: Sign = "both" if (values < 0).any() else "positive"
    colormap = style.colormap or (color.DIVERGING if sign == "both" else MAPS)
    within = style.within or color.limits(values, sign)
    if sign == "both" and within.low >= 0:
        within = color.Limits(-within.high, within.high)
    return color.colorize(values, within, colormap), Bar(within, colormap, sign, f"{how} of the channels"), []


def tile_view(maps: FeatureMaps, pixels: Pixels) -> View:
    """Return the view of the image in the pixels of its tile."""
    height, width = pixels.shape[:2]
    x, y = width / maps.view.image[0], height / maps.view.image[1]
    left, top, right, bottom = maps.view.box
    return replace(maps.view, image=(width, height), box=(left * x, top * y, right * x, bottom * y))


def _overlay(maps: FeatureMaps, pixels: Pixels, painted: Pixels, alpha: float | NDArray[np.float32]) -> Pixels:
    """Return a painted map over the pixels of the image, through its view; a PCA of the foreground over that alone."""
    view = tile_view(maps, pixels)
    placed = np.stack([view.place(painted[:, :, k].astype(np.float32)) for k in range(3)], axis=2)
    if maps.basis and maps.basis.inner:
        shown = view.place(maps.basis.foreground(maps.values).astype(np.float32))[..., None]
        alpha = _DENSER * np.nan_to_num(shown)
    blended = np.where(np.isnan(placed), pixels, (1 - alpha) * pixels + alpha * np.nan_to_num(placed))
    return np.rint(blended).astype(np.uint8)


def clusters(maps: FeatureMaps, count: int = 8, **settings: Any) -> Figure:
    """Draw the mean map of each cluster of similar channels, with its size and its share of the layer's energy."""
    style = FeatureStyle(**settings)
    groups = maps.groups(count)
    sign: Sign = "both" if any((group.values < 0).any() for group in groups) else "positive"
    colormap = style.colormap or (color.DIVERGING if sign == "both" else MAPS)
    tiles = []
    for group in groups:
        painted = color.colorize(group.values, color.limits(group.values, sign), colormap)
        tiles.append(Tile(painted, notes=(f"{len(group.channels)} ch · {_share(group.share)}",)))
    facts = [f"{len(groups)} clusters of channels with similar maps", "mean map of each, normalized to its maximum"]
    recorded = {"groups": [{"channels": list(g.channels), "share": round(g.share, 6)} for g in groups]}
    return compose_figure(
        "features-cluster", table(tiles, style.style, _input(maps)), maps, facts, None, style, recorded
    )


def strip(layers: Sequence[FeatureMaps], how: Reduction = "l2", **settings: Any) -> Figure:
    """Draw the input and one reduced map per layer, with shape, stride and share of zeros."""
    style = FeatureStyle(**settings)
    tiles = [tile for tile, _ in _layer_tiles(layers, how, style)]
    across = -(-len(tiles) // -(-len(tiles) // 6))
    padded: list[Tile | None] = [*tiles, *[None] * (-len(tiles) % across)]
    rows = tuple(Row(tuple(padded[start : start + across])) for start in range(0, len(padded), across))
    facts = [model_name(layers[0].model), layers[0].image.name]
    facts.append(f"{how} of the channels, each layer normalized to its maximum")
    facts.append("outline: receptive field of the center unit" if any(each.receptive_field for each in layers) else "")
    recorded = [
        {"layer": each.layer, "shape": list(each.values.shape), "sparsity": round(each.sparsity, 4)} for each in layers
    ]
    sheet = Sheet(rows, caption=tuple(filter(None, facts)))
    return compose("features-strip", sheet, style.format, style.style, {"layers": recorded}, layers[0].image.name)


def frames(layers: Sequence[FeatureMaps], how: Reduction, style: FeatureStyle) -> list[tuple[Pixels, str]]:
    """Return (captioned tile, name) of the input and of each layer, first to last, for an animation."""
    rendered = []
    for tile, name in _layer_tiles(layers, how, style):
        page = arrange(Sheet((Row((tile,)),)), _FRAME)
        rendered.append((to_pixels(page, _FRAME)[0], name))
    return rendered


def _layer_tiles(layers: Sequence[FeatureMaps], how: Reduction, style: FeatureStyle) -> list[tuple[Tile, str]]:
    width, height = layers[0].view.size
    first = replace(_input(layers[0]), title="Input", notes=(f"{width}×{height}",))
    tiles = [(first, "input")]
    for each in layers:
        painted, _, _ = _painted(each, how, each.reduce(how), replace(style, within=None))
        shape = "×".join(str(length) for length in each.values.shape)
        zeros = f"{each.sparsity:.0%} zeros" if np.isfinite(each.values).all() else "NaN or infinite values"
        notes = [shape, f"stride {number(each.stride)} · {zeros}".replace("%", " %")]
        times = max(1, -(-240 // max(painted.shape[:2])))
        pixels = _stretched_cells(painted, times, width, height)
        if each.receptive_field:
            notes.append(f"sees {_outlined(pixels, each)}")
        tiles.append((Tile(pixels, each.layer, tuple(notes)), each.layer))
    return tiles


def _stretched_cells(painted: Pixels, times: int, width: int, height: int) -> Pixels:
    import cv2

    wide = painted.shape[1] * times
    size = (wide, max(1, round(wide * height / width)))
    return np.asarray(cv2.resize(painted, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _outlined(pixels: Pixels, maps: FeatureMaps) -> str:
    """Outline the receptive field of the center unit on a layer's tile, in place; return its size."""
    import cv2

    field = maps.receptive_field
    assert field
    if field.whole:
        return "all"
    middle = [(length - 1) // 2 for length in maps.values.shape[1:]]
    scale = pixels.shape[1] / maps.view.size[0]
    corners = [round(side * scale) for side in field.box(middle[0], middle[1])]
    for gray, thick in ((40, 3), (255, 1)):
        cv2.rectangle(pixels, corners[:2], corners[2:], (gray, gray, gray), thick)
    height, width = (round(side) for side in field.size)
    most = "≤ " if field.bound else ""
    return f"{most}{height} px" if height == width else f"{most}{width}×{height} px"


def compose_figure(
    kind: str,
    rows: tuple[Row, ...],
    maps: FeatureMaps,
    facts: Sequence[str],
    bar: Bar | None,
    style: FeatureStyle,
    recorded: dict[str, Any],
) -> Figure:
    """Compose rows with the layer, its shape, the model, the image and the facts as the caption."""
    shape = "×".join(str(side) for side in maps.values.shape)
    words = (f"{maps.layer} of {model_name(maps.model)}", shape, maps.image.name, *facts)
    if not np.isfinite(maps.values).all():
        words = (*words, "NaN or infinite values in the activations")
    sheet = Sheet(rows, caption=tuple(filter(None, words)), bar=bar)
    return compose(kind, sheet, style.format, style.style, recorded, maps.image.name)


def run_limits(largest: float, smallest: float) -> color.Limits:
    """Return one scale for a whole run, from the extremes of its activations."""
    if smallest < 0:
        reach = max(largest, -smallest)
        return color.Limits(-reach, reach)
    return color.Limits(0.0, largest)
