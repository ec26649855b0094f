"""Paint a map over its image, or alone, with the color scale that the look asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from camviz.render import color
from camviz.render.bar import Bar
from camviz.render.marks import draw_corners, draw_lines, draw_marks
from camviz.render.names import scale_label
from camviz.types import Look, Map, Pixels, SaliencyMap, Sign

_PLAIN = 225  # gray outside the model's crop, beside a map on white


def paint(pixels: Pixels, map: SaliencyMap, look: Look, letters: int = 0) -> Pixels:
    """Return the map over its image (H, W, 3); `letters` is the least height of text in marks, in pixels."""
    bar = bar_of(map, look)
    if bar.opacity is None:
        return alone(map, bar, look, _PLAIN, letters)
    index, nowhere, placed = _indices(map, bar)
    painted = _blend(pixels, index, nowhere, bar)
    _annotate(painted, map, look, bar, placed, letters)
    return painted


def _blend(pixels: Pixels, index: NDArray[np.uint8], nowhere: NDArray[np.bool_], bar: Bar) -> Pixels:
    import cv2

    assert bar.opacity is not None
    colors, keep = color.blend_tables(bar.colormap, bar.opacity, bar.sign == "both")
    kept = cv2.multiply(pixels, cv2.applyColorMap(index, keep[:, None]), scale=1 / 255)
    painted = np.asarray(cv2.add(kept, cv2.applyColorMap(index, colors[:, None])), np.uint8)
    if keep[0, 0] < 255 and nowhere.any():  # else index 0 is transparent
        np.copyto(painted, pixels, where=nowhere[..., None])
    return painted


def alone(map: SaliencyMap, bar: Bar, look: Look, outside: int, letters: int = 0) -> Pixels:
    """Return the colors of a map (H, W, 3), with this gray outside the model's crop."""
    index, nowhere, placed = _indices(map, bar)
    painted = color.table(bar.colormap)[index]
    np.copyto(painted, np.uint8(outside), where=nowhere[..., None])
    draw_lines(painted, placed, _levels(look, bar))
    draw_marks(painted, map.marks, map.view, letters)
    return painted


def _annotate(painted: Pixels, map: SaliencyMap, look: Look, bar: Bar, placed: Map, letters: int) -> None:
    draw_lines(painted, placed, _levels(look, bar))
    if map.view.partial and look.crop_marks:
        draw_corners(painted, map.view.rectangle)
    draw_marks(painted, map.marks, map.view, letters)


def _levels(look: Look, bar: Bar) -> list[float]:
    levels = [share * bar.within.high for share in look.contour if bar.within.high > 0]
    return levels + [-level for level in levels if bar.sign == "both"]


def _indices(map: SaliencyMap, bar: Bar) -> tuple[NDArray[np.uint8], NDArray[np.bool_], Map]:
    """Return the table index (H, W) of each pixel, where the map has no value, and the map on its image."""
    placed = color.oriented(map.view.place(map.values), bar.sign)
    return color.indices(placed, bar.within), np.isnan(placed), placed


def bar_of(map: SaliencyMap, look: Look) -> Bar:
    """Return the color scale of a map; the limits are those of the raw, layer-sized map.

    A map per pixel is opaque on white, in gray or, where it is signed and no sign or color map is chosen, from blue to
    red; without a fixed scale it is clipped at the 99th percentile.
    """
    if not map.facts.get("per_pixel"):
        limits = color.limits(map.values, look.sign, look.scale)
        opacity = color.Opacity(look.alpha, look.threshold)
        return Bar(limits, color.chosen(look), look.sign, scale_label(map), opacity)
    sign: Sign = look.sign
    if sign == "positive" and look.colormap is None and bool((map.values < 0).any()):
        sign = "both"
    colormap = look.colormap or (color.SIGNED_PIXELS if sign == "both" else color.PIXELS)
    label = scale_label(map)
    if color.fixed_scale(look.scale) is None:
        finite = color.oriented(map.values[np.isfinite(map.values)], sign)
        finite = np.abs(finite) if sign == "both" else np.maximum(finite, 0)
        top = float(np.percentile(finite, color.PERCENTILE)) if finite.size else 0.0
        top = top or float(finite.max(initial=0.0))
        look = replace(look, scale=f"fixed:{top!r}")
        label += f", clipped at P{color.PERCENTILE:.0f}"
    return Bar(color.limits(map.values, sign, look.scale), colormap, sign, label)


def scaled(map: SaliencyMap, width: int, height: int) -> SaliencyMap:
    """Return the map for its image at another size: the view is scaled, the values are the same."""
    view = map.view
    x, y = width / view.image[0], height / view.image[1]
    left, top, right, bottom = view.box
    box = (left * x, top * y, right * x, bottom * y)
    return replace(map, view=replace(view, image=(width, height), box=box))
