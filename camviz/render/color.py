"""Color is data: which value has which color is decided here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from camviz.errors import RequestError, UnknownName, closest
from camviz.types import Look, Map, Pixels, Sign

SEQUENTIAL = "inferno"  # perceptually uniform; black where there is nothing, so it dims and never tints
DIVERGING = "coolwarm"
SHARED = ("row", "run")  # scales that several maps have together: `settled` finds out which one that is

_OPENCV = (
    *("viridis", "inferno", "magma", "plasma", "cividis", "turbo", "jet", "hot", "parula", "bone", "pink"),
    *("deepgreen", "ocean", "cool", "summer", "autumn", "winter", "spring", "twilight", "twilight_shifted"),
)
# (lowest, middle, highest) in RGB; the steps between them are even in CIELAB
_DIVERGING = {
    "coolwarm": ((38, 70, 190), (225, 225, 225), (180, 10, 35)),
    "blue-white-red": ((0, 45, 150), (255, 255, 255), (150, 0, 20)),
    "purple-white-green": ((105, 25, 125), (250, 250, 250), (0, 90, 30)),
    "blue-black-red": ((70, 170, 255), (12, 12, 12), (255, 110, 60)),
}


class Limits(NamedTuple):
    """The values that have the lowest and the highest color."""

    low: float
    high: float


def colormap_names() -> tuple[str, ...]:
    """The color maps there are."""
    return (*_OPENCV, "gray", *_DIVERGING)


def one_of(noun: str, typed: str, known: tuple[str, ...]) -> None:
    """Raise `UnknownName` when `typed` is not among the few `known` names, and list those."""
    if typed not in known:
        near = closest(typed, known)
        mean = f"did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
        raise UnknownName(f"no {noun} '{typed}'", f"{mean}one of: {', '.join(known)}")


def chosen(look: Look) -> str:
    """The name of the color map of a look; without one, signed maps get a diverging one."""
    return look.colormap or (DIVERGING if look.sign == "both" else SEQUENTIAL)


@cache
def table(name: str) -> Pixels:
    """The 256 colors of a map, lowest first: (256, 3) RGB, read-only."""
    import cv2

    one_of("color map", name, colormap_names())
    ramp = np.arange(256, dtype=np.uint8)
    if name in _DIVERGING:
        colors = _diverging(*_DIVERGING[name])
    elif name == "gray":
        colors = np.repeat(ramp[:, None], 3, axis=1)
    else:
        code = getattr(cv2, f"COLORMAP_{name.upper()}")
        bgr = cv2.applyColorMap(ramp[:, None], code).reshape(256, 3)
        colors = np.ascontiguousarray(bgr[:, ::-1])
    colors.flags.writeable = False
    return colors


def _diverging(*ends: tuple[int, int, int]) -> Pixels:
    """256 colors from the lowest over the middle, at 128, to the highest, in even steps of CIELAB."""
    import cv2

    colors = np.array([ends], np.float32) / 255  # (1, 3 colors, 3)
    lab = cv2.cvtColor(colors, cv2.COLOR_RGB2Lab)[0]
    at = np.arange(256)
    steps = np.stack([np.interp(at, (0, 128, 255), lab[:, axis]) for axis in range(3)], axis=-1)
    rgb = cv2.cvtColor(steps[None].astype(np.float32), cv2.COLOR_Lab2RGB)[0]
    result: Pixels = np.rint(rgb.clip(0, 1) * 255).astype(np.uint8)
    return result


def fixed_scale(scale: str) -> float | None:
    """V of "fixed:V", None for a scale that follows from maps."""
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
    """Which values of the raw map have the lowest and the highest color.

    positive: (0, maximum). negative: the map is shown as -values, so (0, -minimum). both: (-m, m) with
    m the largest magnitude. "fixed:V" puts V in the place of the map's own extreme. (0, 0): nothing to show.
    """
    top = fixed_scale(scale)
    if top is None:
        top = strength(values, sign)
    if sign == "both":
        top = max(top, float(np.finfo(np.float32).tiny))  # zero stays in the middle, also when all is zero
        return Limits(-top, top)
    return Limits(0.0, top)


def strength(values: NDArray[Any], sign: Sign) -> float:
    """The largest value that is shown of a raw map: its maximum, -minimum or largest magnitude; never below 0."""
    finite = values[np.isfinite(values)]
    shown = {"positive": finite, "negative": -finite, "both": np.abs(finite)}[sign]
    return max(0.0, float(shown.max(initial=0)))


def settled(look: Look, maps: Iterable[NDArray[Any]], scopes: tuple[str, ...] = ("row",)) -> Look:
    """The look with a scale that all these raw maps share, as a number, if it asks for one of these scopes."""
    if look.scale not in scopes:
        return look
    top = max((strength(values, look.sign) for values in maps), default=0.0)
    return replace(look, scale=f"fixed:{top!r}")


def indices(values: NDArray[Any], within: Limits) -> NDArray[np.uint8]:
    """The place of each value in a table: round((v - low) / (high - low) * 255), clipped; NaN goes lowest."""
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


def colorise(values: NDArray[Any], within: Limits, colormap: str) -> Pixels:
    """The map in colors: (h, w) to (h, w, 3) RGB, where value v has the color of `indices`."""
    import cv2

    colors = table(colormap)
    if values.size == 0:
        return np.zeros((*values.shape, 3), np.uint8)
    painted = cv2.applyColorMap(indices(values, within), colors[:, None])  # in the order of the table
    return np.asarray(painted, np.uint8)


def oriented(values: Map, sign: Sign) -> Map:
    """The map as it is shown: turned over for what speaks against the target. The limits clip the rest."""
    return -values if sign == "negative" else values
