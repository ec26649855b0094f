"""Pixels of a map on its image: opacity, threshold, iso-lines, sign, edge of the view."""

from typing import Any

import numpy as np

from camviz.render import draw
from camviz.render.color import table
from camviz.types import Look, Pixels


def pixels_of(map: Any, **look: Any) -> Pixels:
    drawn = draw(map.image, map, Look(**{"full_size": True, **look})).pixels
    assert drawn is not None
    return drawn


def test_a_constant_opacity_is_a_plain_blend(make: Any) -> None:
    """(1 - alpha) · image + alpha · color, within rounding, for a map with one value per pixel."""
    values = np.linspace(-1, 3, 32 * 24).reshape(24, 32)
    map = make(values)
    index = np.rint(np.clip(values / 3, 0, 1) * 255).astype(int)
    for alpha in (0.0, 0.1, 0.25, 0.5, 0.77, 1.0):
        expected = (1 - alpha) * map.image.pixels + alpha * table("heat")[index]
        painted = pixels_of(map, alpha=alpha)
        assert np.abs(painted - expected).max() <= 2
    np.testing.assert_array_equal(pixels_of(map, alpha=0), map.image.pixels)
    np.testing.assert_array_equal(pixels_of(map, alpha=1), table("heat")[index])
    np.testing.assert_array_equal(pixels_of(map, layout="heatmap"), table("heat")[index])


def test_the_photograph_stays_where_the_map_is_zero(make: Any) -> None:
    values = np.zeros((24, 32))
    values[:, 16:] = np.linspace(0.1, 1, 16)
    map = make(values)
    change = np.abs(pixels_of(map).astype(int) - map.image.pixels).mean((0, 2))
    assert (change[:16] == 0).all()
    assert change[31] > 3 * change[17] > 0


def test_nothing_is_drawn_below_the_threshold(make: Any) -> None:
    map = make(np.tile(np.linspace(0, 1, 32), (24, 1)))
    painted, image = pixels_of(map, threshold=0.5), map.image.pixels
    np.testing.assert_array_equal(painted[:, :15], image[:, :15])
    assert (painted[:, 17:] != image[:, 17:]).any((0, 2)).all()


def test_iso_lines_are_where_the_map_has_their_value(make: Any) -> None:
    map = make(np.tile(np.linspace(0, 1, 301), (200, 1)), (301, 200))
    plain, lined = pixels_of(map, alpha=0), pixels_of(map, alpha=0, contour=(0.25, 0.8))
    columns = np.flatnonzero((plain != lined).any((0, 2)))
    assert {round(column, -1) for column in columns} <= {70, 80, 240}
    assert (lined[100, 75] > 200).all()
    assert (lined[100, 240] > 200).all()


def test_the_sign_is_taken_after_placing(make: Any) -> None:
    """Between cells of -3 and 1 the map is negative for three quarters of the way: nothing is painted there."""
    map = make([[-3, 1]], (160, 4))
    shown = pixels_of(map, layout="heatmap", colormap="gray")[0, :, 0]
    assert (shown[:99] == 0).all()
    assert shown[101] > 0
    assert shown[159] == 255
    against = pixels_of(map, layout="heatmap", colormap="gray", sign="negative")[0, :, 0]
    assert against[0] == 255
    assert (against[101:] == 0).all()


def test_both_signs_diverge_around_zero(make: Any) -> None:
    map = make([[-1, 0, 2]], (3, 1))
    shown = pixels_of(map, layout="heatmap", sign="both")[0]
    np.testing.assert_array_equal(shown, table("coolwarm")[[64, 128, 255]])


def test_a_value_that_is_no_number_leaves_the_image(make: Any) -> None:
    values = np.ones((24, 32))
    values[5, 6] = np.nan
    map = make(values)
    painted = pixels_of(map, alpha=1)
    assert painted[5, 6].tolist() == map.image.pixels[5, 6].tolist()
    assert painted[20, 20].tolist() == table("heat")[255].tolist()
