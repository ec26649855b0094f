"""Channels as they are typed."""

from __future__ import annotations

import pytest

from camviz.errors import RequestError, UnknownName
from camviz.feature_maps.channels import parse_channels, read_channels


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["3"], [3]),
        (["3,17,40-42"], [3, 17, 40, 41, 42]),
        (["17, 3", "5 - 6"], [17, 3, 5, 6]),
        (["4-6,5,4"], [4, 5, 6]),
        (["63"], [63]),
        (["7-7"], [7]),
    ],
)
def test_in_the_order_typed_and_each_once(texts, expected):
    assert parse_channels(texts, 64, "layer4") == expected


@pytest.mark.parametrize("typed", ["64", "60-64", "99999999999999", "0-99999999999999"])
def test_out_of_range_names_the_range(typed):
    with pytest.raises(UnknownName) as error:
        parse_channels(["3", typed], 64, "layer4.1")
    assert error.value.message == f"no channel '{typed}' in layer 'layer4.1'"
    assert "0 to 63" in error.value.hint


def test_a_layer_of_one_channel():
    with pytest.raises(UnknownName) as error:
        parse_channels(["1"], 1, "conv")
    assert "only 0" in error.value.hint


@pytest.mark.parametrize("typed", ["x", "", "-3", "3-", "1.5", "3--5", "²", "1-2-3"])
def test_what_is_no_channel_is_quoted(typed):
    with pytest.raises(RequestError) as error:
        read_channels(["0", typed])
    assert f"'{typed}'" in error.value.message
    assert "3,17,40-60" in error.value.hint


def test_backwards_offers_it_forwards():
    with pytest.raises(RequestError) as error:
        read_channels(["9-4"])
    assert "'9-4'" in error.value.message
    assert error.value.hint == "type 4-9"
