"""Marks over a painted image: boxes, outlines of regions, points, each white on a dark edge, with a few words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from camviz.render import text
from camviz.types import Mark, Pixels, View

_LIGHT, _DARK = (255, 255, 255), (40, 40, 40)
_LINES = 300  # the image's short side is so many lines wide
_LETTERS = 28  # and so many letters high
_SMALLEST, _LARGEST = 11, 120  # pixels, of letters
_UNREADABLE = 64  # pixels, the short side of an image that words would cover
_SPECK = 16  # squared lines: smaller parts of a region are left out beside larger ones

Points = NDArray[np.int32]  # (n, 2) x, y in pixels


def draw_marks(painted: Pixels, marks: Sequence[Mark], view: View) -> None:
    """Draw the marks in place on an image (H, W, 3) that `view` is of; lines first, so that words stay readable."""
    short = min(painted.shape[:2])
    thick = max(1, round(short / _LINES))
    words: list[tuple[str, int, int]] = []
    for mark in marks:
        lines, closed, corner = _lines(mark, view, thick)
        for color, width in ((_DARK, 3 * thick), (_LIGHT, thick)):
            _stroke(painted, lines, closed, color, width)
        if mark.text and corner:
            words.append((mark.text, *corner))
    for one, x, y in words if short >= _UNREADABLE else ():
        _write(painted, one, x, y, int(min(_LARGEST, max(_SMALLEST, short / _LETTERS))), thick)


def _lines(mark: Mark, view: View, thick: int) -> tuple[list[Points], bool, tuple[int, int] | None]:
    """The lines of a mark, whether they are closed, and where its words begin."""
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
    """A box in pixels of the image, cut off where that ends."""
    width, height = view.image
    (left, top), (right, bottom) = view.point(*box[:2]), view.point(*box[2:])
    x = [int(min(max(side, 0), width - 1)) for side in (left, right - 1)]
    y = [int(min(max(side, 0), height - 1)) for side in (top, bottom - 1)]
    return x[0], y[0], x[1], y[1]


def _contours(region: NDArray[np.bool_], view: View, thick: int) -> list[Points]:
    """The outlines of a region, holes included."""
    import cv2

    inside = (view.place(region.astype(np.float32)) >= 0.5).astype(np.uint8)  # not a number is no place
    found, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    large = [one for one in found if cv2.contourArea(one) >= _SPECK * thick**2]
    return [np.asarray(one[:, 0], np.int32) for one in large or found]


def _stroke(painted: Pixels, lines: Sequence[Points], closed: bool, color: tuple[int, int, int], width: int) -> None:
    import cv2

    cv2.polylines(painted, list(lines), closed, color, width, cv2.LINE_AA if width > 3 else cv2.LINE_8)


def _write(painted: Pixels, words: str, x: int, y: int, size: int, thick: int) -> None:
    """Words on a dark plate: above (x, y), below it where there is no room above, never outside the image."""
    height, width = painted.shape[:2]
    plate = 255 - text.line(text.shorten(words, size, width - size), size)
    plate = np.pad(plate, ((0, 0), (size // 3, size // 3), (0, 0)))[:height, :width]
    top = y - thick - plate.shape[0]
    top = top if top >= 0 else min(y + 2 * thick, height - plate.shape[0])
    left = max(0, min(x - thick, width - plate.shape[1]))
    painted[top : top + plate.shape[0], left : left + plate.shape[1]] = plate
