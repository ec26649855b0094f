"""Color maps, color scales and the opacity of overlays: which value has which color."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from camviz.errors import RequestError, UnknownName, closest
from camviz.types import Look, Map, Pixels, Sign

SEQUENTIAL = "heat"
DIVERGING = "coolwarm"
PIXELS, SIGNED_PIXELS = "gray_r", "blue-white-red"  # of maps per pixel, on white
SHARED = ("row", "run")  # scales shared by several maps, which `settled` turns into a number
PERCENTILE = 99.0  # at which maps per pixel are clipped: a few pixels are far stronger than the others

_OPENCV = (
    *("viridis", "inferno", "magma", "plasma", "cividis", "turbo", "jet", "hot", "parula", "bone", "pink"),
    *("deepgreen", "ocean", "cool", "summer", "autumn", "winter", "spring", "twilight", "twilight_shifted"),
)
# colors in RGB at even distances, lowest first; the steps between them are even in CIELAB
_SEQUENTIAL = {
    # falling lightness (also in gray print), safe for color-blind readers, and light where it is nearly transparent
    "heat": ((255, 245, 160), (255, 170, 40), (225, 50, 40), (120, 0, 90)),
}
_DIVERGING = {
    "coolwarm": ((38, 70, 190), (225, 225, 225), (180, 10, 35)),
    "blue-white-red": ((0, 45, 150), (255, 255, 255), (150, 0, 20)),
    "purple-white-green": ((105, 25, 125), (250, 250, 250), (0, 90, 30)),
    "blue-black-red": ((70, 170, 255), (12, 12, 12), (255, 110, 60)),
}


class Limits(NamedTuple):
    """The values with the lowest and the highest color."""

    low: float
    high: float


class Opacity(NamedTuple):
    """Opacity of an overlay: constant `alpha`, or growing with the value; 0 below `threshold`, a share of the scale."""

    alpha: float | None = None
    threshold: float = 0.0

    def of(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the opacity of values given as shares of the color scale, 0 to 1.

        0.75 · share^0.7 was chosen on photographs, in color and in gray: the image stays itself where the map is 0,
        and can be recognized under the peak.
        """
        opacity = 0.75 * share**0.7 if self.alpha is None else np.full_like(share, self.alpha)
        return np.where(share < self.threshold, 0.0, opacity)


def colormap_names() -> tuple[str, ...]:
    """Return the names of all color maps; with "_r" appended each is reversed."""
    return (*_SEQUENTIAL, "gray", *_OPENCV, *_DIVERGING)


def check_colormap(name: str) -> None:
    """Raise `UnknownName` for an unknown color map."""
    one_of("color map", name.removesuffix("_r"), colormap_names())


def one_of(noun: str, typed: str, known: tuple[str, ...]) -> None:
    """Raise `UnknownName` that lists the `known` names if `typed` is not one of them."""
    if typed not in known:
        near = closest(typed, known)
        mean = f"did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
        raise UnknownName(f"no {noun} '{typed}'", f"{mean}one of: {', '.join(known)}")


def chosen(look: Look) -> str:
    """Return the color map of a look; the default depends on the sign."""
    return look.colormap or (DIVERGING if look.sign == "both" else SEQUENTIAL)


@cache
def table(name: str) -> Pixels:
    """Return the 256 colors of a color map, lowest first: (256, 3) RGB, read-only."""
    import cv2

    check_colormap(name)
    if name.endswith("_r"):
        colors = table(name.removesuffix("_r"))[::-1].copy()
    elif name == "gray":
        colors = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    elif name in _DIVERGING:
        colors = _interpolated(_DIVERGING[name], (0, 128, 255))  # the middle is 128
    elif name in _SEQUENTIAL:
        colors = _interpolated(_SEQUENTIAL[name], np.linspace(0, 255, len(_SEQUENTIAL[name])))
    else:
        code = getattr(cv2, f"COLORMAP_{name.upper()}")
        bgr = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], code).reshape(256, 3)
        colors = np.ascontiguousarray(bgr[:, ::-1])
    colors.flags.writeable = False
    return colors


def _interpolated(anchors: Sequence[tuple[int, int, int]], at: ArrayLike) -> Pixels:
    """Return 256 colors through the anchors, which are at these indices, in even steps of CIELAB."""
    import cv2

    positions = np.asarray(at, np.float64)
    colors = np.array([anchors], np.float32) / 255  # (1, anchors, 3)
    lab = cv2.cvtColor(colors, cv2.COLOR_RGB2Lab)[0]
    steps = np.stack([np.interp(np.arange(256), positions, lab[:, axis]) for axis in range(3)], axis=-1)
    rgb = cv2.cvtColor(steps[None].astype(np.float32), cv2.COLOR_Lab2RGB)[0]
    result: Pixels = np.rint(rgb.clip(0, 1) * 255).astype(np.uint8)
    return result


@cache
def blend_tables(colormap: str, opacity: Opacity, signed: bool) -> tuple[Pixels, Pixels]:
    """Return (colors · opacity, 255 · (1 - opacity)), each (256, 3), for a blend by table.

    The opacity of a signed map depends on the magnitude: index 128 is 0.
    """
    index = np.arange(256) / 255
    alpha = opacity.of(np.abs(2 * index - 1) if signed else index)[:, None]
    colors = np.rint(table(colormap) * alpha).astype(np.uint8)
    keep = np.rint(np.repeat(255 * (1 - alpha), 3, axis=1)).astype(np.uint8)
    return colors, keep


def fixed_scale(scale: str) -> float | None:
    """Return V of "fixed:V", None for a scale that depends on maps; raise `RequestError` for others."""
    if scale == "image" or scale in SHARED:
        return None
    kind, _, number = scale.partition(":")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if kind != "fixed" or not 0 <= value < math.inf:
        raise RequestError(f"no scale '{scale}'", "type image, row, run, or fixed:V with V from 0 up, as in fixed:2.5")
    return value


def limits(values: NDArray[Any], sign: Sign, scale: str = "image") -> Limits:
    """Return the values of the raw map with the lowest and the highest color.

    positive: (0, maximum). negative: the map is drawn as -values, so (0, -minimum). both: (-m, m) with
    m the largest magnitude. "fixed:V" replaces the map's extreme by V. (0, 0): the map is blank.
    """
    top = fixed_scale(scale)
    if top is None:
        top = strength(values, sign)
    if sign == "both":
        top = max(top, float(np.finfo(np.float32).tiny))  # keeps 0 in the middle of a blank map
        return Limits(-top, top)
    return Limits(0.0, top)


def strength(values: NDArray[Any], sign: Sign) -> float:
    """Return the largest drawn value of a raw map: its maximum, -minimum or largest magnitude; at least 0."""
    finite = values[np.isfinite(values)]
    shown = {"positive": finite, "negative": -finite, "both": np.abs(finite)}[sign]
    return max(0.0, float(shown.max(initial=0)))


def settled(look: Look, maps: Iterable[NDArray[Any]], scopes: tuple[str, ...] = ("row",)) -> Look:
    """Return the look with the scale that all these raw maps share as a number, if its scale is one of `scopes`."""
    if look.scale not in scopes:
        return look
    top = max((strength(values, look.sign) for values in maps), default=0.0)
    return replace(look, scale=f"fixed:{top!r}")


def indices(values: NDArray[Any], within: Limits) -> NDArray[np.uint8]:
    """Return the table index of each value: round((v - low) / (high - low) * 255), clipped; NaN gives 0."""
    low, high = within
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    with np.errstate(all="ignore"):
        share = values - np.float32(low)
        share /= np.float32(high - low)
        share *= 255
        np.rint(share, out=share)
    np.fmax(share, 0, out=share)
    np.minimum(share, 255, out=share)
    return share.astype(np.uint8)


def colorize(values: NDArray[Any], within: Limits, colormap: str) -> Pixels:
    """Color a map: (h, w) to (h, w, 3) RGB."""
    import cv2

    colors = table(colormap)
    if values.size == 0:
        return np.zeros((*values.shape, 3), np.uint8)
    painted = cv2.applyColorMap(indices(values, within), colors[:, None])  # in the order of the table
    return np.asarray(painted, np.uint8)


def oriented(values: Map, sign: Sign) -> Map:
    """Return the map as it is drawn: negated for evidence against the target."""
    return -values if sign == "negative" else values
