"""Sparsity, sensitivity and sanity, by hand."""

import numpy as np
import pytest
import torch

from camviz.metrics.robustness import sensitivity
from camviz.metrics.sanity import sanity, spearman
from camviz.metrics.sparsity import gini, sparsity

# sparsity


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1, 1, 1], 0),
        ([0, 0, 0, 5], 3 / 4),  # one of d says all: 1 - 1/d
        ([1, 3], 1 - 2 * (1 / 4 * 3 / 4 + 3 / 4 * 1 / 4)),
        ([-1, 3], 1 / 4),  # sizes count, not signs
        ([0, 0], 0),
        ([np.nan, 1, 1], 0),
    ],
)
def test_gini(values, expected):
    assert gini(np.array([values], np.float32)) == pytest.approx(expected)


def test_sparsity_does_not_depend_on_the_scale(case):
    found = sparsity(case([[0.0]], [[[1, 2, 3]], [[10, 20, 30]]]))
    assert found[0] == pytest.approx(found[1])


# sensitivity


def test_sensitivity_is_the_largest_change_over_the_length(case):
    answers = [[np.array([[3, 4]]), np.array([[0, 0]])], [np.array([[6, 8]]), np.array([[0, 1]])]]
    asked = case([[0.0]], [[[3, 4]], [[0, 2]]], again=lambda inputs: answers)
    assert sensitivity(asked) == pytest.approx([1, 1])  # |(3, 4)| / 5, and |(0, -2)| / 2


def test_the_noise_is_within_its_radius_and_the_same_every_time(case):
    given = []

    def again(inputs):
        given.append(inputs)
        return [[np.ones((1, 1))] for _ in inputs]

    asked = case(np.zeros((30, 30)), [[[1]]], again=again)
    asked.std = (0.5,)
    for _ in range(2):
        sensitivity(asked, samples=5, radius=0.1)
    assert given[0].shape == (5, 1, 30, 30)
    assert torch.equal(*given)
    assert 0.19 < float(given[0].max()) <= 0.2  # a tenth of full scale is 0.2 to a model with std 0.5
    assert -0.2 <= float(given[0].min()) < -0.19


def test_the_sensitivity_of_a_blank_map_is_unknown(case):
    assert np.isnan(sensitivity(case([[0.0]], [[[0]]], again=lambda inputs: [[np.ones((1, 1))]])))


# sanity


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
    asked = case([[0.0]], [original, original], shuffled=lambda: [[original, turned], [turned, turned]])
    assert sanity(asked) == pytest.approx([0, -1])
