"""How alike two maps are: cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camviz.comparison.numbers import correlation, hottest, overlap, placed, size_of
from camviz.types import Image, View
from tests.helpers.runs import saliency

NAN = float("nan")


def grid(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_correlation_by_hand():
    """Deviations (-1, 0, 1) and (-1, -1, 2) about the means 2 and 2: 3 / sqrt(2 · 6)."""
    assert correlation(grid((1, 2, 3)), grid((1, 1, 4))) == pytest.approx(3 / 12**0.5)
    assert correlation(grid((1, 2, 3)), grid((10, 20, 30))) == pytest.approx(1)
    assert correlation(grid((1, 2, 3)), grid((3, 2, 1))) == pytest.approx(-1)


def test_correlation_counts_only_what_both_have_seen():
    assert correlation(grid((1, 2, 3, 99)), grid((1, 1, 4, NAN))) == pytest.approx(3 / 12**0.5)
    assert np.isnan(correlation(grid((1, NAN)), grid((NAN, 1))))


def test_a_constant_map_correlates_with_nothing():
    assert np.isnan(correlation(grid((1, 2, 3)), grid((0.1, 0.1, 0.1))))
    assert np.isnan(correlation(grid((1, 2, 3)), grid((0, 0, 0))))
    flat = np.full((7, 13), 0.1, np.float32)  # whose mean is not quite that
    assert np.isnan(correlation(np.arange(91, dtype=np.float32).reshape(7, 13), flat))


def test_the_hottest_fifth_of_ten_are_two():
    values = grid((0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    assert hottest(values, np.ones((1, 10), bool)).nonzero()[1].tolist() == [8, 9]
    assert hottest(values, values < 5).nonzero()[1].tolist() == [4], "a fifth of what is inside"


def test_equal_values_are_hot_together_but_never_all():
    inside = np.ones((1, 10), bool)
    assert hottest(grid((0, 0, 0, 0, 0, 0, 0, 5, 5, 5)), inside).sum() == 3
    assert hottest(grid((0, 0, 0, 0, 0, 0, 0, 0, 0, 5)), inside).nonzero()[1].tolist() == [9]
    assert hottest(grid((1,) * 10), inside).sum() == 0


def test_overlap_by_hand():
    """Hot are the places 8, 9 and 7, 8: one of three is in both."""
    first = grid((0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    second = grid((0, 1, 2, 3, 4, 5, 6, 9, 8, 7))
    assert overlap(first, second) == pytest.approx(1 / 3)
    assert overlap(first, first) == 1
    assert overlap(first, -first) == 0
    assert np.isnan(overlap(grid((1,) * 10), grid((0,) * 10)))


def test_overlap_where_both_have_seen():
    """Without the last place a fifth of five is the hottest one: 4 in the first, 3 in the second."""
    first, second = grid((0, 1, 2, 3, 4, 99)), grid((0, 1, 2, 4, 3, NAN))
    assert overlap(first, second) == 0
    assert overlap(first, grid((0, 1, 2, 3, 4, NAN))) == 1


def test_maps_of_different_views_meet_on_the_image():
    """The same hot corner, once as a crop of the right half and once seen whole, in other grids."""
    image = Image(np.zeros((40, 80, 3), np.uint8))
    whole = replace(saliency(image), view=View((80, 40), (0, 0, 80, 40), (32, 32)))
    crop = replace(saliency(image), view=View((80, 40), (40, 0, 80, 40), (64, 64)))
    columns = np.linspace(0, 1, 16, dtype=np.float32)
    whole = replace(whole, values=np.tile(columns, (8, 1)))
    crop = replace(crop, values=np.tile(columns[8:], (8, 1)))
    assert correlation(placed(whole), placed(crop)) == pytest.approx(1, abs=1e-3)
    assert np.isnan(placed(crop)[:, :40]).all()
    assert overlap(placed(whole), placed(crop)) > 0.9


@pytest.mark.parametrize(("size", "found"), [((100, 50), (100, 50)), ((2048, 1024), (512, 256)), ((1, 5000), (1, 512))])
def test_large_images_are_compared_smaller(size, found):
    assert size_of(Image(np.zeros((size[1], size[0], 3), np.uint8))) == found
