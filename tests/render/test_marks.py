"""Boxes, outlines and points lie where they belong, at every size of image, and can be read."""

from typing import Any

import numpy as np
import pytest

from camviz.render import draw
from camviz.render.marks import draw_marks
from camviz.types import Look, Mark, Pixels, Style, View


def gray(width: int, height: int) -> Pixels:
    return np.full((height, width, 3), 128, np.uint8)


def drawn(mark: Mark, width: int = 200, height: int = 160, box: Any = None) -> Pixels:
    painted = gray(width, height)
    draw_marks(painted, [mark], View((width, height), box or (0, 0, width, height), (64, 64)))
    return painted


def light(painted: Pixels) -> np.ndarray:
    return painted.min(2) > 250


def changed(painted: Pixels) -> np.ndarray:
    return (painted != 128).any(2)


def test_a_box_is_a_white_line_on_a_dark_edge():
    painted = drawn(Mark(box=(0.1, 0.25, 0.5, 0.75)))  # from 20, 40 to 100, 120
    rows, columns = np.nonzero(light(painted))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (20, 40, 99, 119)
    assert light(painted)[40, 20:100].all()
    assert light(painted)[40:120, 99].all()
    assert (painted[39, 30:90] == 40).all()
    assert (painted[41, 30:90] == 40).all()
    assert not changed(painted)[43:117, 23:97].any()


def test_a_box_in_a_cropped_view_and_one_that_leaves_the_image():
    painted = drawn(Mark(box=(0.0, 0.0, 0.5, 1.0)), box=(40, 0, 200, 160))
    rows, columns = np.nonzero(light(painted))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (40, 0, 119, 159)
    painted = drawn(Mark(box=(-0.5, 0.5, 1.5, 3.0)))
    rows, columns = np.nonzero(light(painted))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (0, 80, 199, 159)


def test_a_region_is_outlined_along_its_edge():
    region = np.zeros((16, 20), bool)
    region[4:12, 5:15] = True
    painted = drawn(Mark(region=region))  # from 50, 40 to 150, 120
    rows, columns = np.nonzero(light(painted))
    assert abs(columns.min() - 50) <= 1
    assert abs(columns.max() - 149) <= 1
    assert abs(rows.min() - 40) <= 1
    assert abs(rows.max() - 119) <= 1
    assert not changed(painted)[50:110, 60:140].any()


def test_holes_are_outlined_and_specks_are_left_out_beside_larger_parts():
    region = np.zeros((160, 200), bool)
    region[20:120, 20:120] = True
    region[60:90, 60:90] = False
    region[150, 190] = True
    painted = drawn(Mark(region=region))
    assert light(painted)[55:95, 55:95].any()
    assert not changed(painted)[140:, 180:].any()
    speck = np.zeros((160, 200), bool)
    speck[150, 190] = True
    assert changed(drawn(Mark(region=speck)))[150, 190]
    assert not changed(drawn(Mark(region=np.zeros((4, 4), bool)))).any()


def test_a_point_is_a_cross():
    painted = drawn(Mark(point=(0.5, 0.25)))
    assert light(painted)[40, 97:104].all()
    assert light(painted)[37:44, 100].all()
    assert not light(painted)[44, 104]


@pytest.mark.parametrize(("width", "height"), [(100, 100), (300, 120), (500, 375), (1600, 1200), (4000, 3000)])
@pytest.mark.parametrize("top", [0.0, 0.5])
def test_words_can_be_read_and_stay_inside(width: int, height: int, top: float):
    """Above the box, or in it at the image's top: a dark plate with light letters, at least 11 pixels high."""
    bare, painted = (drawn(Mark(words, box=(0.6, top, 1.0, 0.9)), width, height) for words in ("", "person 87%"))
    rows, columns = np.nonzero((bare != painted).any(2))
    high, wide = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
    assert 11 <= high <= max(18, height / 15)
    assert wide > 2 * high
    plate = painted[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (plate.max(2) > 200).mean() > 0.03
    assert np.median(plate) == 0
    assert rows.max() < (top * height or 0.25 * height)


def test_no_words_over_a_thumbnail():
    assert (drawn(Mark("cat 9%", box=(0, 0, 1, 1)), 40, 40) == drawn(Mark(box=(0, 0, 1, 1)), 40, 40)).all()


@pytest.mark.parametrize("layout", ["overlay", "heatmap", "panel", "grid"])
def test_every_layout_shows_the_marks(make: Any, layout: str):
    plain = make(np.eye(4), (200, 160))
    marked = make(np.eye(4), (200, 160), marks=(Mark("cat", box=(0.25, 0.25, 0.75, 0.75)),))
    look = Look(layout=layout, full_size=True, style=Style(180, 150))
    a, b = (draw(one.image, one, look).pixels for one in (plain, marked))
    assert a is not None
    assert b is not None
    assert a.shape == b.shape
    assert (a != b).any()
