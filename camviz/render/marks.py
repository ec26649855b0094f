"""Marks on a painted image: boxes, regions and points with labels, iso-lines, and the corners of the model's crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from camviz.render import fonts
from camviz.types import Map, Mark, Pixels, View

_LIGHT, _DARK = (255, 255, 255), (40, 40, 40)
_LINES = 300  # short side of the image / width of a line
_LETTERS = 28  # short side of the image / height of letters
_SMALLEST, _LARGEST = 11, 120  # pixels, the height of letters
_UNREADABLE = 64  # pixels: on an image with a smaller short side labels are left out
_SPECK = 16  # squared line widths: smaller parts of a region are left out beside larger ones
_CORNER = 22  # short side of the image / length of a corner tick
_PIXELS = 72 / 25.4  # so that widths in fonts are in pixels where sizes are

Points = NDArray[np.int32]  # (n, 2) x, y in pixels


def draw_marks(painted: Pixels, marks: Sequence[Mark], view: View, letters: int = 0) -> None:
    """Draw the marks in place on an image (H, W, 3) that `view` is of: lines first, then labels.

    `letters` is the least height of the labels in pixels.
    """
    short = min(painted.shape[:2])
    thick = max(1, round(short / _LINES))
    labels: list[tuple[str, int, int]] = []
    for mark in marks:
        lines, closed, corner = _lines(mark, view, thick)
        for color, width in ((_DARK, 3 * thick), (_LIGHT, thick)):
            _stroke(painted, lines, closed, color, width)
        if mark.text and corner:
            labels.append((mark.text, *corner))
    size = int(min(_LARGEST, max(_SMALLEST, letters, short / _LETTERS)))
    for text, x, y in labels if short >= max(_UNREADABLE, 4 * letters) else ():
        _write(painted, text, x, y, size, thick)


def draw_corners(painted: Pixels, rectangle: tuple[int, int, int, int]) -> None:
    """Draw the four corners of a rectangle in place, white with a dark edge."""
    height, width = painted.shape[:2]
    left, top, right, bottom = rectangle
    right, bottom = right - 1, bottom - 1
    thick = max(1, round(min(height, width) / (_LINES * 0.75)))
    arm = max(4, min(round(min(height, width) / _CORNER), (right - left) // 3, (bottom - top) // 3))
    corners = []
    for x, inward in ((left, 1), (right, -1)):
        for y, down in ((top, 1), (bottom, -1)):
            corners.append(np.array([(x + inward * arm, y), (x, y), (x, y + down * arm)], np.int32))
    for color, stroke in ((_DARK, 3 * thick), (_LIGHT, thick)):
        _stroke(painted, corners, False, color, stroke)


def draw_lines(painted: Pixels, placed: Map, levels: Sequence[float]) -> None:
    """Draw iso-lines of a map (H, W) at these values in place, white with a dark edge."""
    if not levels:
        return
    import cv2
    from contourpy import LineType, contour_generator

    thick = max(1, round(min(painted.shape[:2]) / _LINES))
    lines = contour_generator(z=np.ma.masked_invalid(placed), line_type=LineType.Separate)
    for level in levels:
        points = [np.rint(np.asarray(line) * 16).astype(np.int32) for line in lines.lines(level)]  # 1/16 pixels
        for color, stroke in ((_DARK, 3 * thick), (_LIGHT, thick)):
            cv2.polylines(painted, points, False, color, stroke, cv2.LINE_AA, shift=4)


def _lines(mark: Mark, view: View, thick: int) -> tuple[list[Points], bool, tuple[int, int] | None]:
    """Return the lines of a mark, whether they are closed, and where its label begins."""
    if mark.box:
        left, top, right, bottom = _corners(mark.box, view)
        return [np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.int32)], True, (left, top)
    if mark.region is not None:
        contours = _contours(mark.region, view, thick)
        points = np.concatenate(contours) if contours else np.zeros((0, 2), np.int32)
        return contours, True, (int(points[:, 0].min()), int(points[:, 1].min())) if len(points) else None
    if mark.point:
        x, y = (int(side) for side in view.point(*mark.point))
        arm = 4 * thick
        cross = [np.array(ends, np.int32) for ends in ([(x - arm, y), (x + arm, y)], [(x, y - arm), (x, y + arm)])]
        return cross, False, (x + 2 * arm, y)
    return [], False, None


def _corners(box: tuple[float, float, float, float], view: View) -> tuple[int, int, int, int]:
    """Return a box in pixels, clipped to the image."""
    width, height = view.image
    (left, top), (right, bottom) = view.point(*box[:2]), view.point(*box[2:])
    x = [int(min(max(side, 0), width - 1)) for side in (left, right - 1)]
    y = [int(min(max(side, 0), height - 1)) for side in (top, bottom - 1)]
    return x[0], y[0], x[1], y[1]


def _contours(region: NDArray[np.bool_], view: View, thick: int) -> list[Points]:
    """Return the outlines of a region, holes included."""
    import cv2

    inside = (replace(view, cells=(0, 0, 1, 1)).place(region.astype(np.float32)) >= 0.5).astype(
        np.uint8
    )  # NaN is outside
    outlines, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    large = [outline for outline in outlines if cv2.contourArea(outline) >= _SPECK * thick**2]
    return [np.asarray(outline[:, 0], np.int32) for outline in large or outlines]


def _stroke(painted: Pixels, lines: Sequence[Points], closed: bool, color: tuple[int, int, int], width: int) -> None:
    import cv2

    cv2.polylines(painted, list(lines), closed, color, width, cv2.LINE_AA if width > 3 else cv2.LINE_8)


def _write(painted: Pixels, text: str, x: int, y: int, size: int, thick: int) -> None:
    """Write a label on a dark plate: above (x, y), below it where there is no room above, inside the image."""
    height, width = painted.shape[:2]
    label = fonts.shorten(text, size * _PIXELS, width - size)
    if not label:
        return
    plate = _plate(label, size)[:height, :width]
    top = y - thick - plate.shape[0]
    top = top if top >= 0 else min(y + 2 * thick, height - plate.shape[0])
    left = max(0, min(x - thick, width - plate.shape[1]))
    painted[top : top + plate.shape[0], left : left + plate.shape[1]] = plate


def _plate(label: str, size: int) -> Pixels:
    """Return white text on a dark ground, `size` in pixels."""
    from PIL import Image, ImageDraw

    margin = size // 3
    image = Image.new("RGB", (round(fonts.width(label, size * _PIXELS)) + 2 * margin, round(1.4 * size)), (0, 0, 0))
    draw, x = ImageDraw.Draw(image), float(margin)
    for run in fonts.runs(label):
        draw.text((x, round(1.05 * size)), run.text, fill=_LIGHT, font=fonts.load(run.font, size), anchor="ls")
        x += fonts.width(run.text, size * _PIXELS)
    return np.asarray(image)
