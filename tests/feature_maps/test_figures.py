"""Figures of feature maps: one honest scale, every tile where it belongs, nothing silently left out."""

import numpy as np
import pytest

import camviz
from camviz.feature_maps.figures import channels, clusters, reduction, run_limits, strip
from camviz.render.color import table
from camviz.types import View
from tests.feature_maps.test_maps import VALUES, maps


def tile(figure, values, number=0, count=1):
    """The color at the middle of every cell of a tile."""
    from camviz.render.montage import _GAP, columns_for, tile_size

    height, width = tile_size(count, *values.shape[1:])
    across = columns_for(count, *values.shape[1:])
    assert number < across  # only of the first row
    top = int(np.flatnonzero((figure.pixels != 255).any((1, 2)))[0])
    left = int(np.flatnonzero((figure.pixels != 255).any((0, 2)))[0]) + number * (width + _GAP)
    h, w = values.shape[1:]
    rows = top + (np.arange(h) + 0.5) * height / h
    columns = left + (np.arange(w) + 0.5) * width / w
    return figure.pixels[rows.astype(int)][:, columns.astype(int)]


POSITIVE = np.abs(VALUES)


def test_one_scale_for_the_layer_makes_a_loud_channel_look_loud():
    found = channels(maps(POSITIVE), channels=("0",))
    inferno = table("inferno")
    expected = [[inferno[round(v / 5 * 255)].tolist() for v in row] for row in POSITIVE[0]]  # 5 is the layer's maximum
    assert tile(found, POSITIVE[:1]).tolist() == expected


def test_a_scale_for_each_channel_and_it_is_said():
    found = channels(maps(POSITIVE), channels=("0",), scale="channel")
    assert tile(found, POSITIVE[:1])[1, 1].tolist() == table("inferno")[255].tolist()


def test_a_scale_for_the_run():
    found = channels(maps(POSITIVE), channels=("0",), scale="run", within=run_limits(8.0, 0.0))
    assert tile(found, POSITIVE[:1])[1, 1].tolist() == table("inferno")[round(4 / 8 * 255)].tolist()
    assert run_limits(3.0, -7.0) == (-7, 7)


def test_signed_layers_are_drawn_on_a_diverging_scale():
    found = channels(maps(), channels=("3", "1"))
    assert tile(found, VALUES, 0, 2)[0, 0].tolist() == table("coolwarm")[round((-3 + 5) / 10 * 255)].tolist()
    assert tile(found, VALUES, 1, 2)[0, 0].tolist() == table("coolwarm")[128].tolist()


def test_dead_channels_are_counted_not_drawn():
    found = channels(maps())
    assert found.facts == {"channels": [3, 0, 2], "dead": 1, "alive": 3}


def test_top_and_a_silent_layer():
    assert channels(maps(), top=2).facts["channels"] == [3, 0]
    silent = channels(maps(np.zeros((3, 2, 2), np.float32)))
    assert silent.facts["channels"] == []
    assert silent.pixels.shape[0] > 40


def test_reduced_maps_have_the_colors_of_their_values():
    found = reduction(maps(POSITIVE), "max")
    top = int(np.flatnonzero((found.pixels != 255).any((1, 2)))[0])
    left = int(np.flatnonzero((found.pixels != 255).any((0, 2)))[0])
    assert found.pixels[top + 10, left + 10].tolist() == table("inferno")[round(3 / 5 * 255)].tolist()


def test_components_are_red_green_and_blue_around_gray():
    found = reduction(maps(np.stack([VALUES[0], -VALUES[0]])), "pca")
    top = int(np.flatnonzero((found.pixels != 255).any((1, 2)))[0])
    left = int(np.flatnonzero((found.pixels != 255).any((0, 2)))[0])
    low, high = found.pixels[top + 5, left + 5], found.pixels[top + 470, left + 470]
    assert abs(int(low[0]) - 128) > 40  # one component only: red moves, green and blue stay in the middle
    assert (low[0] > 128) != (high[0] > 128)
    assert low[1] == low[2] == high[1] == 128


def test_an_overlay_goes_through_the_view():
    from dataclasses import replace

    one = replace(maps(POSITIVE), view=View((8, 8), (4, 0, 8, 8), (8, 8)))
    found = reduction(one, "sum", overlay=True, alpha=1.0)
    height = width = 320  # a small image is enlarged to be read
    frame = int(np.flatnonzero((found.pixels != 255).any((0, 2)))[0])
    top = int(np.flatnonzero((found.pixels != 255).any((1, 2)))[0])
    left_half = found.pixels[top : top + height, frame : frame + width // 2 - 2]
    assert (left_half == 0).all()  # the image is black, and the view does not reach there
    assert found.pixels[top : top + height, frame + width // 2 + 4 : frame + width - 4].any(2).all()


def test_groups_are_told_with_their_channels_and_shares():
    found = clusters(maps(POSITIVE), 2)
    assert sum(len(g["channels"]) for g in found.facts["groups"]) == 3
    assert sum(g["share"] for g in found.facts["groups"]) == pytest.approx(1, abs=1e-5)


def test_a_strip_shows_every_layer_from_first_to_last():
    layers = [maps(), maps(np.zeros((16, 4, 4), np.float32)), maps(POSITIVE[:2])]
    found = strip(layers)
    assert [one["sparsity"] for one in found.facts["layers"]] == [0.4375, 1.0, 0.5]
    assert found.pixels.shape[1] > 4 * 260  # the image, and three layers
    assert found.pixels.shape[0] < 600


def test_a_long_strip_is_broken_into_rows():
    found = strip([maps()] * 20)
    assert found.pixels.shape[1] < 8 * 290
    assert found.pixels.shape[0] > 3 * 260


def test_two_thousand_channels_fit_one_page_and_are_quick_enough_to_wait_for():
    rng = np.random.default_rng(0)
    values = rng.random((2048, 7, 7), np.float32)
    found = channels(maps(values), top=2048)
    assert len(found.facts["channels"]) == 2048
    assert found.pixels.shape[1] < 5000
    assert found.pixels.shape[0] < 5000


@pytest.mark.parametrize("settings", [{"scale": "image"}, {"rank": "loudness"}, {"channels": ("9",)}])
def test_wrong_settings(settings):
    with pytest.raises(camviz.CamvizError):
        channels(maps(), **settings)


def test_nan_is_written_into_the_figure():
    values = VALUES.copy()
    values[0] = np.nan
    plain, marked = channels(maps(), channels=("2",)), channels(maps(values), channels=("2",))
    assert marked.pixels.shape[0] >= plain.pixels.shape[0]
    assert not np.array_equal(marked.pixels, plain.pixels)


def test_a_strip_outlines_what_the_middle_unit_sees():
    from dataclasses import replace

    from camviz.feature_maps.figures import Style, frames
    from camviz.feature_maps.receptive_field import Field

    # cells of 4 pixels of an 8×8 input; the middle unit of 2×2 is (0, 0) and sees 6 pixels from -1 on
    one = replace(maps(POSITIVE), receptive_field=Field(size=(6.0, 6.0), jump=(4.0, 4.0), first=(-1.0, -1.0)))
    plain, marked = (frames([m], "max", Style(), 80)[1][0] for m in (maps(POSITIVE), one))
    changed = (plain[:80] != marked[:80]).any(2)
    assert changed[:, 50].any()
    assert changed[50].any()  # its lower edge is at pixel 5 of 8
    assert not changed[56:, :].any()
    assert not changed[:, 56:].any()
    whole = frames([replace(one, receptive_field=Field(whole=True))], "max", Style(), 80)[1][0]
    assert (whole[:80] == plain[:80]).all()
