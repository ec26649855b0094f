"""A map goes back to where the model looked."""

import numpy as np
import pytest

from camviz.types import View


def test_one_hot_cell_lands_where_it_was_seen() -> None:
    """A center crop of an image that is not square: the centroid is within half a cell of the cell's center."""
    view = View((640, 427), (106.5, 0, 533.5, 427), (224, 224))
    cell = 427 / 7
    for row, column in [(1, 1), (3, 5), (5, 2), (3, 3)]:
        values = np.zeros((7, 7), np.float32)
        values[row, column] = 1
        placed = np.nan_to_num(view.place(values))
        ys, xs = np.mgrid[0:427, 0:640] + 0.5
        y, x = (placed * ys).sum() / placed.sum(), (placed * xs).sum() / placed.sum()
        assert abs(y - (row + 0.5) * cell) < 1, "rows: half a pixel of rounding, not half a cell"
        assert abs(x - (106.5 + (column + 0.5) * cell)) < 1
        assert np.unravel_index(placed.argmax(), placed.shape)[0] == pytest.approx((row + 0.5) * cell, abs=1)


def test_a_map_of_the_images_size_is_left_alone() -> None:
    values = np.random.default_rng(0).standard_normal((11, 17)).astype(np.float32)
    np.testing.assert_array_equal(View((17, 11), (0, 0, 17, 11), (17, 11)).place(values), values)


def test_bilinear_by_hand() -> None:
    """Two cells on eight pixels: the cells' centers are at 2 and 6, so pixel centers step by an eighth of each."""
    placed = View((8, 1), (0, 0, 8, 1), (2, 1)).place(np.array([[0, 8]], np.float32))
    np.testing.assert_allclose(placed, [[0, 0, 1, 3, 5, 7, 8, 8]])


def test_nan_outside_and_only_there() -> None:
    view = View((10, 6), (2, 1, 7, 6), (5, 5))
    placed = view.place(np.ones((3, 3), np.float32))
    assert view.rectangle == (2, 1, 7, 6)
    assert (placed[1:6, 2:7] == 1).all()
    assert np.isnan(placed).sum() == 60 - 25


def test_fractions_of_pixels_count_by_the_center() -> None:
    view = View((10, 4), (2.4, 0, 7.6, 4), (5, 4))
    assert view.rectangle == (2, 0, 8, 4)
    assert View((10, 4), (2.6, 0, 7.4, 4), (5, 4)).rectangle == (3, 0, 7, 4)


def test_a_box_beyond_the_image_is_cut() -> None:
    """Letterbox: the model saw 8 × 8, of which the image is the middle four rows."""
    view = View((8, 4), (0, -2, 8, 6), (8, 8))
    values = np.arange(8, dtype=np.float32)[:, None].repeat(8, axis=1)
    np.testing.assert_array_equal(view.place(values), values[2:6])
    assert not view.partial


def test_one_cell_is_constant_for_any_size() -> None:
    for width, height in [(1, 1), (1, 9), (7, 1), (13, 5)]:
        placed = View((width, height), (0, 0, width, height), (3, 3)).place(np.full((1, 1), 0.3, np.float32))
        assert (placed == np.float32(0.3)).all()
        assert placed.shape == (height, width)


def test_a_value_that_is_not_finite_stays_local() -> None:
    values = np.zeros((9, 9), np.float32)
    values[1, 1] = np.nan
    values[7, 7] = np.inf
    placed = View((90, 90), (0, 0, 90, 90), (9, 9)).place(values)
    assert not np.isnan(placed[30:60, :]).any()
    assert np.isnan(placed[15, 15])


def test_a_view_outside_the_image_places_nothing() -> None:
    view = View((5, 5), (20, 0, 30, 5), (5, 5))
    assert np.isnan(view.place(np.ones((2, 2), np.float32))).all()
