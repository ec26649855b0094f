"""Overlays are the image's size, and a plain blend."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from camviz.errors import RequestError
from camviz.render import RENDERERS, check, draw
from camviz.render.color import table
from camviz.types import Image, Look, Pixels

SIZES = [(1, 1), (1, 9), (9, 1), (2, 3), (31, 17), (64, 200)]


def pixels_of(map: Any, **look: Any) -> Pixels:
    drawn = draw(map.image, map, Look(**look)).pixels
    assert drawn is not None
    return drawn


@pytest.mark.parametrize("layout", ["overlay", "heatmap"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sign", ["positive", "negative", "both"])
def test_the_size_of_the_image(make: Any, layout: str, size: tuple[int, int], sign: str) -> None:
    map = make([[1, -2, 0], [0.5, 3, -1]], size)
    assert pixels_of(map, layout=layout, sign=sign).shape == (size[1], size[0], 3)


def test_the_blend_is_plain(make: Any) -> None:
    """round((1 - alpha) · image + alpha · color), within one level, for a map with one value per pixel."""
    values = np.linspace(-1, 3, 32 * 24).reshape(24, 32)
    map = make(values)
    index = np.rint(np.clip(values / 3, 0, 1) * 255).astype(int)
    for alpha in (0.0, 0.1, 0.25, 0.5, 0.77, 1.0):
        expected = (1 - alpha) * map.image.pixels + alpha * table("inferno")[index]
        painted = pixels_of(map, alpha=alpha)
        assert np.abs(painted - expected).max() <= 1
    np.testing.assert_array_equal(pixels_of(map, alpha=0), map.image.pixels)
    np.testing.assert_array_equal(pixels_of(map, alpha=1), table("inferno")[index])
    np.testing.assert_array_equal(pixels_of(map, layout="heatmap"), table("inferno")[index])


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


def test_outside_the_view_the_image_stays_and_a_line_shows_the_edge(make: Any) -> None:
    map = make([[1.0]], (100, 60), box=(30, 0, 70, 60))
    painted, image = pixels_of(map, alpha=1), map.image.pixels
    assert (painted[:, 30:70] == table("inferno")[255]).all(), "the line covers no color"
    assert (painted[:, [29, 70]] == 255).all()
    assert (painted[:, [28, 71]] < 60).all()
    np.testing.assert_array_equal(painted[:, :28], image[:, :28])
    np.testing.assert_array_equal(painted[:, 72:], image[:, 72:])
    assert (pixels_of(map, layout="heatmap")[:, :30] == 128).all()


def test_the_line_grows_with_the_image(make: Any) -> None:
    painted = pixels_of(make([[1.0]], (1500, 1000), box=(300, 0, 1200, 1000)))
    assert (painted[500, 296:300] == 255).all()
    assert (painted[500, 292:296] < 60).all()


def test_no_line_around_a_whole_image_or_a_letterbox(make: Any) -> None:
    for box in [(0, 0, 40, 20), (0, -10, 40, 30)]:
        map = make([[1.0]], (40, 20), box=box)
        assert (pixels_of(map, alpha=1) == table("inferno")[255]).all()


def test_a_value_that_is_no_number_leaves_the_image(make: Any) -> None:
    values = np.ones((24, 32))
    values[5, 6] = np.nan
    map = make(values)
    painted = pixels_of(map, alpha=1)
    assert painted[5, 6].tolist() == map.image.pixels[5, 6].tolist()
    assert painted[20, 20].tolist() == table("inferno")[255].tolist()


@pytest.mark.parametrize("size", SIZES)
def test_bar_and_caption_stand_beside_the_painted_image(make: Any, size: tuple[int, int]) -> None:
    map = make([[1, 2], [3, -4]], size)
    width, height = size
    plain = pixels_of(map)
    for look in ({"colorbar": True}, {"caption": True}, {"colorbar": True, "caption": True}):
        framed = pixels_of(map, **look)
        np.testing.assert_array_equal(framed[:height, :width], plain)
        assert framed.shape[1] > width or "colorbar" not in look
        assert framed.shape[0] > height or "caption" not in look
        strips = framed.copy()
        strips[:height, :width] = 255
        assert (strips < 128).any(), "something is written"


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


@pytest.mark.parametrize(
    ("look", "typed"),
    [
        ({"layout": "overlap"}, "overlap"),
        ({"colormap": "jett"}, "jett"),
        ({"sign": "plus"}, "plus"),
        ({"scale": "fixed:"}, "fixed:"),
        ({"format": "pngg"}, "pngg"),
        ({"alpha": 1.5}, "1.5"),
        ({"alpha": float("nan")}, "nan"),
    ],
)
def test_a_wrong_look_is_quoted_and_corrected(make: Any, look: dict[str, Any], typed: str) -> None:
    with pytest.raises(RequestError) as caught:
        check(Look(**look))
    with pytest.raises(RequestError):
        draw(make([[1.0]]).image, make([[1.0]]), Look(**look))
    assert typed in caught.value.message
    assert caught.value.hint


def test_a_map_of_another_image_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="not of"):
        draw(Image(np.zeros((3, 3, 3), np.uint8)), make([[1.0]]), Look())
