"""How kernels and positions are drawn: kinds, scales, colors."""

from __future__ import annotations

import numpy as np
import pytest

from camviz.errors import RequestError, UnknownName
from camviz.feature_maps import kernel_figures
from camviz.feature_maps.filters import Kernels, Positions
from camviz.feature_maps.kernel_figures import KernelStyle, draw_kernels, draw_positions, kind
from camviz.render.color import DIVERGING, table
from camviz.render.sheet import Sheet
from tests.helpers.sheets import composed, tiles


def kernels(weights, groups: int = 1) -> Kernels:
    return Kernels(np.asarray(weights, np.float32), "conv", "net", groups)


@pytest.fixture
def sheets(monkeypatch) -> list[Sheet]:
    """The sheets that were composed."""
    return composed(monkeypatch, kernel_figures)


@pytest.mark.parametrize(
    ("shape", "groups", "how"),
    [
        ((8, 3, 7, 7), 1, "rgb"),
        ((16, 3, 16, 16), 1, "rgb"),
        ((8, 1, 3, 3), 1, "tiles"),
        ((8, 1, 3, 3), 8, "tiles"),
        ((8, 4, 3, 3), 1, "slices"),
        ((8, 3, 3, 3), 3, "slices"),
        ((8, 32, 5, 1), 1, "slices"),
        ((8, 16, 1, 1), 1, "weights"),
        ((8, 3, 1, 1), 1, "weights"),
        ((1, 1, 1, 1), 1, "weights"),
    ],
)
def test_every_kind_has_its_drawing(shape, groups, how):
    weights = np.random.default_rng(0).normal(size=shape)
    one = kernels(weights, groups)
    assert kind(one) == how
    drawn = draw_kernels(one, KernelStyle())
    assert drawn.facts["drawn"] == how
    assert drawn.facts["channels"] == one.order()
    assert min(drawn.pixels.shape[:2]) > 60
    for style in (KernelStyle(each=True, top=1), KernelStyle(channels=("0",))):
        assert len(draw_kernels(one, style).facts["channels"]) == 1


def test_zero_is_mid_gray_and_the_scale_is_shared(sheets):
    weights = np.zeros((2, 3, 1, 2), np.float32)
    weights[0, :, 0, 0] = [2, -2, 1]
    weights[1, :, 0, 0] = [0, 0, 1]
    draw_kernels(kernels(weights), KernelStyle())
    first, second = tiles(sheets)
    assert first.tolist() == [[[255, 0, 191], [128, 128, 128]]]
    assert second.tolist() == [[[128, 128, 191], [128, 128, 128]]]
    draw_kernels(kernels(weights), KernelStyle(each=True))
    assert tiles(sheets)[1].tolist() == [[[128, 128, 255], [128, 128, 128]]]


def test_single_weights_are_stripes_in_the_colors_of_the_bar(sheets):
    weights = np.array([[-1, 0, 1], [0.5, 0.5, 0.5]], np.float32)[:, :, None, None]
    draw_kernels(kernels(weights), KernelStyle())
    colors, [first, second] = table(DIVERGING), tiles(sheets)
    third = first.shape[1] // 3
    assert [first[0, x + 1].tolist() for x in (0, third, 2 * third)] == [colors[i].tolist() for i in (0, 128, 255)]
    assert (second == colors[191]).all()
    assert sheets[-1].bar.within == (-1, 1)


def test_top_and_channels():
    one = kernels(np.arange(1, 9).reshape(8, 1, 1, 1) * np.ones((8, 3, 2, 2)))
    assert draw_kernels(one, KernelStyle(top=3)).facts["channels"] == [7, 6, 5]
    assert draw_kernels(one, KernelStyle(channels=("2", "0-1"))).facts["channels"] == [2, 0, 1]
    with pytest.raises(RequestError, match="--top 9 is more than the 8 kernels of layer 'conv'"):
        draw_kernels(one, KernelStyle(top=9))
    with pytest.raises(UnknownName, match="no channel '8' in layer 'conv'"):
        draw_kernels(one, KernelStyle(channels=("8",)))


def test_a_silent_layer_is_drawn_all_gray():
    drawn = draw_kernels(kernels(np.zeros((4, 3, 3, 3))), KernelStyle())
    assert drawn.facts["near_duplicates"] == []
    assert tuple(drawn.pixels[60, 60]) == (128, 128, 128)


def test_small_grids_stand_where_their_patches_are(sheets):
    cosines = np.zeros((2, 3, 2, 3), np.float32)
    cosines[0, 2, 1, 0] = 1
    draw_positions(Positions(cosines, "pos_embed", "net"))
    [drawn] = tiles(sheets)
    assert sheets[-1].bar.within == (-1, 1)
    red = np.argwhere((drawn == table(DIVERGING)[255]).all(2))
    side = 24  # pixels of a cell, and of a gap
    assert red.min(0).tolist() == [side, 2 * 4 * side]
    assert red.max(0).tolist() == [2 * side - 1, 2 * 4 * side + side - 1]
