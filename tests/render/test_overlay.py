"""Overlays: the blend, the crop marks, iso-lines, sizes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from camviz.render import RENDERERS, draw
from camviz.render.color import table
from camviz.types import Look, Pixels

SIZES = [(1, 1), (1, 9), (9, 1), (2, 3), (31, 17), (64, 200)]


def pixels_of(map: Any, **look: Any) -> Pixels:
    drawn = draw(map.image, map, Look(**{"full_size": True, **look})).pixels
    assert drawn is not None
    return drawn


@pytest.mark.parametrize("layout", ["overlay", "heatmap"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sign", ["positive", "negative", "both"])
def test_the_size_of_the_image(make: Any, layout: str, size: tuple[int, int], sign: str) -> None:
    map = make([[1, -2, 0], [0.5, 3, -1]], size)
    assert pixels_of(map, layout=layout, sign=sign).shape == (size[1], size[0], 3)


@pytest.mark.parametrize(
    ("size", "shown"),
    [((32, 32), (256, 256)), ((100, 300), (300, 900)), ((300, 300), (300, 300)), ((30, 2000), (30, 2000)),
     ((6000, 4000), (2048, 1365)), ((1, 9), (227, 2043))],
)  # fmt: skip
def test_small_images_are_enlarged_and_large_ones_reduced(make: Any, size: Any, shown: Any) -> None:
    map = make([[1, 2]], size)
    assert pixels_of(map, full_size=False).shape[1::-1] == shown
    assert pixels_of(map).shape[1::-1] == size


def test_enlarged_images_keep_their_pixels_and_the_place_of_the_map(make: Any) -> None:
    map = make(np.eye(2), (64, 64), box=(0, 0, 32, 64))
    painted = pixels_of(map, full_size=False, alpha=0, crop_marks=False)
    np.testing.assert_array_equal(painted[::4, ::4], map.image.pixels)
    np.testing.assert_array_equal(painted[3::4, 3::4], map.image.pixels)
    opaque = pixels_of(map, full_size=False, alpha=1, crop_marks=False)
    np.testing.assert_array_equal(opaque[:, 128:], painted[:, 128:])
    assert opaque[10, 10].tolist() == table("heat")[255].tolist()


def test_one_value_looks_the_same_in_two_images_on_one_scale(make: Any) -> None:
    weak, strong = make([[2.0]]), make([[2.0, 8.0]])
    strong = replace(strong, image=weak.image)
    look = {"scale": "fixed:8", "alpha": 0.5}
    np.testing.assert_array_equal(pixels_of(weak, **look)[:, :8], pixels_of(strong, **look)[:, :8])
    assert (pixels_of(weak, alpha=1) != pixels_of(weak, alpha=1, scale="fixed:8")).any()


def test_the_limits_are_those_of_the_raw_map(make: Any) -> None:
    """One pixel in the middle of four cells sees their mean, a quarter of the maximum."""
    map = make([[8, 0], [0, 0]], (1, 1))
    assert pixels_of(map, layout="heatmap", colormap="gray").tolist() == [[[64, 64, 64]]]


def test_outside_the_view_the_image_stays_and_corners_mark_the_edge(make: Any) -> None:
    map = make([[1.0]], (100, 60), box=(30, 0, 70, 60))
    painted, image = pixels_of(map, alpha=1), map.image.pixels
    assert (painted[0, [30, 69]] == 255).all()
    assert (painted[25:35, 30:70] == table("heat")[255]).all(), "no line between the corners"
    np.testing.assert_array_equal(painted[:, :28], image[:, :28])
    np.testing.assert_array_equal(painted[:, 72:], image[:, 72:])
    assert (pixels_of(map, layout="heatmap")[:, :30] == 128).all()
    bare = pixels_of(map, alpha=1, crop_marks=False)
    assert (bare[:, 30:70] == table("heat")[255]).all()


def test_no_marks_around_a_whole_image_or_a_letterbox(make: Any) -> None:
    for box in [(0, 0, 40, 20), (0, -10, 40, 30)]:
        map = make([[1.0]], (40, 20), box=box)
        assert (pixels_of(map, alpha=1) == table("heat")[255]).all()


def test_the_image_is_not_changed(make: Any) -> None:
    map = make([[1, 2]], (50, 40), box=(5, 0, 45, 40))
    before = map.image.pixels.copy()
    for layout in RENDERERS.names():
        pixels_of(map, layout=layout)
    np.testing.assert_array_equal(map.image.pixels, before)


def test_facts_say_what_the_colors_mean(make: Any) -> None:
    map = make([[-4, 2]])
    figure = draw(map.image, map, Look(sign="both", format="jpeg"))
    assert (figure.kind, figure.suffix) == ("overlay", ".jpg")
    assert figure.facts == {"colormap": "coolwarm", "sign": "both", "low": -4.0, "high": 4.0}
