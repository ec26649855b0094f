"""Values of several parts, and the values that errors suggest in their place."""

from __future__ import annotations

import pytest

from camviz.cli.parsing import key_values, numbers, pair, size
from camviz.errors import RequestError


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, None), ("224", (224, 224)), ("320x224", (320, 224)), ("320X224", (320, 224)), ("320×224", (320, 224))],
)
def test_size_is_width_and_height(text, expected):
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "0", "big", "1x2x3", "-3", "2.5", "²"])
def test_what_is_no_size(text):
    with pytest.raises(RequestError, match="is not a size"):
        size(text)


def test_a_value_may_contain_an_equals_sign():
    assert key_values("--set", ["depth=20", "rule=a=b"], "depth=20") == (("depth", "20"), ("rule", "a=b"))
    for text in ("depth", "=3", "a b=3", "3=a"):
        with pytest.raises(RequestError, match="is not NAME=VALUE"):
            key_values("--set", [text], "depth=20")


def test_numbers_and_pairs():
    assert numbers("--mean", None) is None
    assert numbers("--mean", "0.5,1e-1, 2") == (0.5, 0.1, 2.0)
    assert pair("--range", None) is None
    assert pair("--range", "-1,1") == (-1.0, 1.0)
    for text in ("1", "1,2,3", "1,1", "2,1"):
        with pytest.raises(RequestError, match="is not LOW,HIGH"):
            pair("--range", text)


@pytest.mark.parametrize(
    ("parse", "wrong"), [(lambda t: numbers("--std", t), "a"), (lambda t: pair("--window", t), "9,1"), (size, "x")]
)
def test_a_hint_is_a_value_that_is_accepted(parse, wrong):
    with pytest.raises(RequestError) as caught:
        parse(wrong)
    _, typed, *_ = caught.value.hint.split()
    assert parse(typed)
