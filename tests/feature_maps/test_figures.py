"""Figures of feature maps: one honest scale, every tile where it belongs, nothing silently left out."""

from dataclasses import replace

import numpy as np
import pytest

import camviz
from camviz.feature_maps import figures
from camviz.feature_maps.figures import (
    MAPS,
    FeatureStyle,
    channels,
    clipped_limits,
    clusters,
    frames,
    reduction,
    run_limits,
    strip,
)
from camviz.models.receptive_field import Field
from camviz.render.color import Limits, colorize, limits, table
from camviz.render.sheet import Sheet
from camviz.types import View
from tests.feature_maps.test_maps import VALUES, maps
from tests.helpers.sheets import composed, tiles


@pytest.fixture
def sheets(monkeypatch) -> list[Sheet]:
    """The sheets that were composed."""
    return composed(monkeypatch, figures)


POSITIVE = np.abs(VALUES)


def test_one_scale_for_the_layer_makes_a_loud_channel_look_loud(sheets):
    channels(maps(POSITIVE))
    within = clipped_limits(POSITIVE, "positive")
    for pixels, channel in zip(tiles(sheets)[1:], (3, 0, 2), strict=True):
        np.testing.assert_array_equal(pixels, colorize(POSITIVE[channel], within, MAPS))
    assert sheets[-1].bar.within == within


def test_outliers_do_not_wash_out_the_other_channels():
    values = np.random.default_rng(0).random((8, 20, 20), np.float32)
    values[0, 0, 0] = 1000
    assert clipped_limits(values, "positive").high < 1.01
    assert clipped_limits(np.zeros((2, 3, 3), np.float32), "positive") == (0, 0)
    signed = clipped_limits(-values, "both")
    assert signed.low == -signed.high > -1.01


def test_a_scale_for_each_channel_has_no_bar(sheets):
    channels(maps(POSITIVE), channels=("0",), scale="channel")
    np.testing.assert_array_equal(tiles(sheets)[1], colorize(POSITIVE[0], limits(POSITIVE[0], "positive"), MAPS))
    assert sheets[-1].bar is None


def test_a_scale_for_the_run(sheets):
    channels(maps(POSITIVE), channels=("0",), scale="run", within=run_limits(8.0, 0.0))
    np.testing.assert_array_equal(tiles(sheets)[1], colorize(POSITIVE[0], Limits(0, 8), MAPS))
    assert run_limits(3.0, -7.0) == (-7, 7)


def test_signed_layers_are_drawn_on_a_diverging_scale(sheets):
    channels(maps(), channels=("3", "1"))
    assert (tiles(sheets)[2] == table("coolwarm")[128]).all(), "channel 1 is zero"
    assert sheets[-1].bar.sign == "both"


def test_the_input_is_the_first_tile_and_channels_are_labeled(sheets):
    channels(maps(POSITIVE))
    first, second = [tile for tile in sheets[-1].rows[0].tiles if tile][:2]
    assert first.notes == ("input",)
    assert second.notes[0].startswith("ch 3 · ")
    assert second.notes[0].endswith(" %")


def test_dead_channels_are_counted_not_drawn():
    found = channels(maps())
    assert found.facts == {"channels": [3, 0, 2], "dead": 1, "alive": 3}


def test_top_and_a_silent_layer():
    assert channels(maps(), top=2).facts["channels"] == [3, 0]
    silent = channels(maps(np.zeros((3, 2, 2), np.float32)))
    assert silent.facts["channels"] == []
    assert silent.pixels.shape[0] > 40


def test_reduced_maps_have_the_colors_of_their_values(sheets):
    reduction(maps(POSITIVE), "max")
    top = POSITIVE.max(0)
    np.testing.assert_array_equal(tiles(sheets)[1], colorize(top, limits(top, "positive"), MAPS))


def test_components_are_red_green_and_blue_over_the_image(sheets):
    reduction(maps(np.stack([VALUES[0], -VALUES[0]])), "pca", alpha=1.0)
    [painted] = tiles(sheets)[1:]
    high, low = painted[2, 2].astype(int), painted[-3, -3].astype(int)
    assert abs(high[0] - 128) > 40  # one component only: red moves, green and blue stay in the middle
    assert (high[0] > 128) != (low[0] > 128)
    assert high[1] == high[2] == low[1] == 128


def test_an_overlay_goes_through_the_view(sheets):
    one = replace(maps(POSITIVE), view=View((8, 8), (4, 0, 8, 8), (8, 8)))
    reduction(one, "sum", overlay=True, alpha=1.0)
    [painted] = tiles(sheets)[1:]
    half = painted.shape[1] // 2
    assert (painted[:, : half - 2] == 0).all()  # the image is black, and the view does not reach there
    assert painted[:, half + 4 : -4].any(2).all()


def test_groups_are_told_with_their_channels_and_shares():
    found = clusters(maps(POSITIVE), 2)
    assert sum(len(g["channels"]) for g in found.facts["groups"]) == 3
    assert sum(g["share"] for g in found.facts["groups"]) == pytest.approx(1, abs=1e-5)


def test_a_strip_shows_every_layer_from_first_to_last():
    layers = [maps(), maps(np.zeros((16, 4, 4), np.float32)), maps(POSITIVE[:2])]
    found = strip(layers)
    assert [one["sparsity"] for one in found.facts["layers"]] == [0.4375, 1.0, 0.5]


def test_a_long_strip_is_broken_into_rows(sheets):
    strip([maps()] * 20)
    assert [len(row.tiles) for row in sheets[-1].rows] == [6, 6, 6, 6]


def test_two_thousand_channels_fit_one_page_and_are_quick_enough_to_wait_for():
    rng = np.random.default_rng(0)
    values = rng.random((2048, 7, 7), np.float32)
    found = channels(maps(values), top=2048)
    assert len(found.facts["channels"]) == 2048
    assert max(found.pixels.shape) <= 16000


@pytest.mark.parametrize("settings", [{"scale": "image"}, {"rank": "loudness"}, {"channels": ("9",)}])
def test_wrong_settings(settings):
    with pytest.raises(camviz.CamvizError):
        channels(maps(), **settings)


def test_nan_is_written_into_the_figure(sheets):
    values = VALUES.copy()
    values[0] = np.nan
    channels(maps(values), channels=("2",))
    assert any("NaN" in text for text in sheets[-1].caption)


def test_a_strip_outlines_the_receptive_field_of_the_center_unit(sheets):
    # cells of 4 pixels of an 8×8 input; the center unit of 2×2 is (0, 0) and sees 6 pixels from -1 on
    one = replace(maps(POSITIVE), receptive_field=Field(size=(6.0, 6.0), jump=(4.0, 4.0), first=(-1.0, -1.0)))
    whole = replace(one, receptive_field=Field(whole=True))
    strip([maps(POSITIVE), one, whole], "max")
    plain, marked, all_of_it = tiles(sheets)[1:]
    side = plain.shape[0]
    changed = (plain != marked).any(2)
    assert changed[: 5 * side // 8, 5 * side // 8].any(), "its right edge is at pixel 5 of 8"
    assert not changed[6 * side // 8 :].any()
    assert not changed[:, 6 * side // 8 :].any()
    np.testing.assert_array_equal(plain, all_of_it)
    assert [tile.notes[-1] for tile in sheets[-1].rows[0].tiles[2:]] == ["sees 6 px", "sees all"]


def test_frames_of_an_animation_have_one_size():
    rendered = frames([maps(POSITIVE), maps()], "l2", FeatureStyle())
    assert [name for _, name in rendered] == ["input", "features.3", "features.3"]
    assert len({pixels.shape[1] for pixels, _ in rendered}) == 1
