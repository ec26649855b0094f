"""The sanity metric(s), by hand."""

import numpy as np
import pytest

from camviz.metrics.sanity import sanity, spearman


def test_spearman_by_hand():
    a = np.array([1, 2, 3, 4])
    assert spearman(a, a**3) == pytest.approx(1)
    assert spearman(a, -a) == pytest.approx(-1)
    assert spearman(a, np.array([2, 1, 4, 3])) == pytest.approx(1 - 6 * 4 / (4 * 15))
    # ties share their mean rank: ranks 0.5 0.5 2 against 0 1 2
    assert spearman(np.array([1, 1, 5]), np.array([1, 2, 3])) == pytest.approx(1.5 / np.sqrt(1.5 * 2))
    assert spearman(a, np.ones(4)) == 0
    assert spearman(a, np.array([1, 2, np.nan, 4])) == 0


def test_sanity_is_the_mean_over_the_cascade(case):
    original, turned = np.array([[1, 2, 3]]), np.array([[3, 2, 1]])
    asked = case([[0.0]], [original, original], randomized=lambda: [[original, turned], [turned, turned]])
    assert sanity(asked) == pytest.approx([0, -1])
