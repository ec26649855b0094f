"""Value v has color colormap(v)."""

import warnings

import numpy as np
import pytest

from camviz.errors import RequestError, UnknownName
from camviz.render.color import (
    DIVERGING,
    SEQUENTIAL,
    Opacity,
    blend_tables,
    chosen,
    colorize,
    colormap_names,
    indices,
    limits,
    table,
)
from camviz.types import Look


@pytest.mark.parametrize("name", colormap_names())
def test_every_map_is_a_table(name: str) -> None:
    colors = table(name)
    assert colors.shape == (256, 3)
    assert colors.dtype == np.uint8
    assert len(np.unique(colors, axis=0)) > 60
    with pytest.raises(ValueError):
        colors[0] = 1


def test_at_least_twelve_and_the_defaults_are_among_them() -> None:
    assert len(set(colormap_names())) == len(colormap_names()) >= 12
    assert {SEQUENTIAL, DIVERGING} < set(colormap_names())
    assert chosen(Look()) == SEQUENTIAL
    assert chosen(Look(sign="both")) == DIVERGING
    assert chosen(Look(sign="both", colormap="jet")) == "jet"


def test_red_is_red() -> None:
    """Jet runs from dark blue to dark red, in that order of channels."""
    assert table("jet")[0].tolist() == [0, 0, 128]
    assert table("jet")[255].tolist() == [128, 0, 0]
    assert table("viridis")[0].tolist() == [68, 1, 84]
    low, _, high = (table("coolwarm")[at].astype(int) for at in (0, 128, 255))
    assert low[2] > low[0] + 100
    assert high[0] > high[2] + 100


def test_the_sequential_default_gets_darker_step_by_step() -> None:
    luma = table(SEQUENTIAL) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luma) < 0.8).all()
    assert luma[0] > 230
    assert luma[255] < 40


def test_a_reversed_map_is_reversed() -> None:
    np.testing.assert_array_equal(table("gray_r"), table("gray")[::-1])
    with pytest.raises(UnknownName):
        table("virids_r")


def test_the_opacity_grows_with_the_value_and_is_zero_below_the_threshold() -> None:
    share = np.linspace(0, 1, 101)
    growing, constant, cut = (opacity.of(share) for opacity in (Opacity(), Opacity(0.4), Opacity(None, 0.5)))
    assert growing[0] == 0
    assert (np.diff(growing) > 0).all()
    assert growing[-1] == pytest.approx(0.75)
    assert (constant == 0.4).all()
    assert (cut[:50] == 0).all()
    np.testing.assert_array_equal(cut[50:], growing[50:])


def test_blend_tables_by_hand() -> None:
    colors, keep = blend_tables("gray", Opacity(0.25), False)
    assert keep[100].tolist() == [191] * 3  # 255 · 0.75
    assert colors[100].tolist() == [25] * 3  # 100 · 0.25
    _, signed = blend_tables("coolwarm", Opacity(), True)
    assert signed[128, 0] > 245, "zero is transparent"
    assert signed[0, 0] == signed[255, 0] == 64


@pytest.mark.parametrize("name", ["coolwarm", "blue-white-red", "purple-white-green", "blue-black-red"])
def test_diverging_maps_have_their_neutral_color_at_zero(name: str) -> None:
    colors = table(name).astype(int)
    assert np.ptp(colors[128]) <= 1
    assert np.ptp(colors[0]) > 60
    assert np.abs(np.diff(colors, axis=0)).max() <= 8, "no jump"
    zero = colorize(np.zeros((1, 1), np.float32), limits(np.array([[-1.0, 3.0]]), "both"), name)
    assert zero[0, 0].tolist() == colors[128].tolist()


def test_limits_by_hand() -> None:
    values = np.array([[-4, 1], [0, 2.5]], np.float32)
    assert limits(values, "positive") == (0, 2.5)
    assert limits(values, "negative") == (0, 4)
    assert limits(values, "both") == (-4, 4)
    assert limits(values, "positive", "fixed:10") == (0, 10)
    assert limits(values, "negative", "fixed:1e-3") == (0, 0.001)
    assert limits(values, "both", "fixed:10") == (-10, 10)


def test_limits_ignore_what_is_not_finite() -> None:
    assert limits(np.array([[np.nan, np.inf], [-np.inf, 3]], np.float32), "positive") == (0, 3)
    assert limits(np.full((2, 2), np.nan, np.float32), "positive") == (0, 0)


@pytest.mark.parametrize("scale", ["fixed", "fixed:", "fixed:x", "fixed:-1", "fixed:nan", "fixed:inf", "max", ""])
def test_bad_scales(scale: str) -> None:
    with pytest.raises(RequestError) as caught:
        limits(np.ones((1, 1)), "positive", scale)
    assert repr(scale) in caught.value.message
    assert "fixed:2.5" in caught.value.hint


def test_unknown_map() -> None:
    with pytest.raises(UnknownName) as caught:
        table("virids")
    assert caught.value.message == "no color map 'virids'"
    assert "did you mean 'viridis'" in caught.value.hint
    with pytest.raises(UnknownName) as caught:
        table("zzz")
    assert "inferno" in caught.value.hint


def test_indices_by_hand() -> None:
    values = np.array([0, 0.5, 1, 2, 3, 4, 5, -1, np.nan, np.inf, -np.inf], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = indices(values, limits(values, "positive", "fixed:4"))
    assert found.tolist() == [0, 32, 64, 128, 191, 255, 255, 0, 0, 255, 0]


def test_value_v_has_color_v_whatever_the_other_values_are() -> None:
    within = limits(np.array([[0.0]]), "positive", "fixed:8")
    alone = colorize(np.array([[2.0]], np.float32), within, "viridis")
    among = colorize(np.array([[7.0, 2.0], [-3.0, 1.0]], np.float32), within, "viridis")
    assert alone[0, 0].tolist() == among[0, 1].tolist() == table("viridis")[64].tolist()


@pytest.mark.parametrize("sign", ["positive", "negative"])
def test_nothing_to_show_is_the_lowest_color(sign: str) -> None:
    values = np.full((3, 4), -2.0 if sign == "positive" else 2.0, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        within = limits(values, sign)  # type: ignore[arg-type]
        painted = colorize(values, within, "jet")
    assert within == (0, 0)
    assert (painted == [0, 0, 128]).all()


def test_zero_everywhere_is_neutral_when_signs_are_shown() -> None:
    values = np.zeros((2, 2), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        painted = colorize(values, limits(values, "both"), "coolwarm")
    assert (painted == table("coolwarm")[128]).all()


def test_tiny_and_huge_values_draw_without_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in (1e-44, 1e-30, 1e30, 1e38):
            values = np.array([[0, size]], np.float32)
            assert indices(values, limits(values, "positive")).tolist() == [[0, 255]]
        one = np.array([[0, 1]], np.float32)
        assert indices(one, limits(one, "positive", "fixed:1e-60")).tolist() == [[0, 255]]


def test_colorize_takes_every_shape() -> None:
    for shape in [(1, 1), (1, 7), (5, 1), (3, 0), (0, 4)]:
        assert colorize(np.zeros(shape, np.float32), limits(np.ones(1), "positive"), "magma").shape == (*shape, 3)
