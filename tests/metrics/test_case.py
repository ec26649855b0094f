"""What a metric reads: ranks, order of equal pixels, values that are not finite."""

import numpy as np

PIXELS = [[8.0, 4.0], [2.0, 1.0]]


def test_equal_pixels_come_in_random_order(case):
    flat = np.zeros((20, 20))
    ranks = case(np.zeros((20, 20)), [flat]).ranks[0]
    assert sorted(ranks.tolist()) == list(range(400))
    assert abs(np.corrcoef(ranks.numpy(), np.arange(400))[0, 1]) < 0.2


def test_places_follow_the_map(case):
    assert case(PIXELS, [[[1, 3], [4, 2]]]).ranks.tolist() == [[3, 1, 0, 2]]


def test_values_that_are_not_finite_come_last(case):
    assert case(PIXELS, [[[np.nan, 3], [np.inf, 2]]]).ranks[0, 1] == 0
