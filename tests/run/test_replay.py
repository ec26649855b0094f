"""Maps then and now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from camviz.run.database.records import SavedMap
from camviz.run.replay import compare
from camviz.types import Image, SaliencyMap, View

IMAGE = Image(np.zeros((4, 6, 3), np.uint8), Path("a.png"))


def saved(values, **changed) -> SavedMap:
    facts = {"method": "gradcam", "layer": "l", "target": "cat", "index": 1, "score": 1.0, "probability": 0.5}
    facts |= {"model": "net", "view": View((6, 4), (0, 0, 6, 4), (6, 4)), "image": IMAGE}
    return SavedMap.of(SaliencyMap(np.asarray(values, np.float32), **{**facts, **changed}))


def test_bit_for_bit():
    [one] = compare("a.png", [saved([[1, -4]])], [saved([[1, -4]])])
    assert (one.equal, one.difference, one.relative, one.within(0)) == (True, 0, 0, True)


def test_the_largest_difference_and_its_share():
    [one] = compare("a.png", [saved([[1, -4]])], [saved([[1.5, -3]])])
    assert (one.equal, one.difference, one.relative) == (False, 1, 0.25)  # |-3 + 4| = 1, of |-4|
    assert not one.within(0)
    assert one.within(0.25)
    assert one.describe() == "a.png, gradcam, cat: largest difference 1, 0.25 of the largest value"


def test_minus_zero_is_not_the_same_bits_but_no_difference():
    [one] = compare("a.png", [saved([[0.0]])], [saved([[-0.0]])])
    assert (one.equal, one.difference, one.relative, one.within(0)) == (False, 0, 0, True)


def test_what_was_all_zero_and_is_no_more():
    [one] = compare("a.png", [saved([[0.0]])], [saved([[1.0]])])
    assert (one.difference, one.relative, one.within(1e9)) == (1, None, False)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (saved([[1, 2]], target="dog"), "the target was 'cat', now 'dog'"),
        (saved([[1], [2]]), "was 1×2, now 2×1"),
        (saved([[1, 2]], view=View((6, 4), (1, 0, 6, 4), (6, 4))), "covers another part of the image"),
        (saved([[1, np.nan]]), "other places are not finite"),
    ],
)
def test_maps_that_cannot_be_compared(now, why):
    [one] = compare("a.png", [saved([[1, 2]])], [now])
    assert (one.equal, one.difference, one.why, one.within(1e9)) == (False, None, why, False)


def test_nan_in_the_same_place_is_equal():
    [one] = compare("a.png", [saved([[1, np.nan]])], [saved([[1, np.nan]])])
    assert (one.equal, one.difference) == (True, 0)


def test_a_map_without_a_partner():
    one, other = saved([[1]]), saved([[2]], method="layercam")
    assert [each.why for each in compare("a", [one, other], [one])] == ["", "is not there any more"]
    assert [each.why for each in compare("a", [one], [one, other])] == ["", "was not there before"]
