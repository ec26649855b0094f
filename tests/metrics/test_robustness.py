"""The robustness metric(s), by hand."""

import numpy as np
import pytest
import torch

from camviz.metrics.robustness import sensitivity


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
