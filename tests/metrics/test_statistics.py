"""Means, bootstrap intervals and ranks of rows that are known."""

import numpy as np
import pytest

from camviz.metrics import choose
from camviz.metrics.results import Evaluation
from camviz.metrics.statistics import Row, _ranks
from tests.helpers.evaluations import A, evaluation


def test_means_and_intervals():
    found = evaluation({A: [(1, 0), (3, 0)]}).summary(*A, "insertion")
    # two images: a resample has the mean 1, 2, 2 or 3
    assert (found.mean, found.low, found.high, found.count) == (2, 1, 3, 2)
    assert found.half == 1


def test_the_interval_is_that_of_the_mean():
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = evaluation({A: [(v, 0) for v in values]}, resamples=2000).summary(*A, "insertion")
    assert found.half == pytest.approx(1.96 * values.std() / 20, rel=0.08)


def test_an_image_without_a_value_does_not_count():
    found = evaluation({A: [(1, np.nan), (3, 7), (8, np.nan)]})
    assert found.summary(*A, "insertion").mean == 4
    assert (found.summary(*A, "deletion").mean, found.summary(*A, "deletion").count) == (7, 1)
    nothing = evaluation({A: [(1, np.nan)]}).summary(*A, "deletion")
    assert np.isnan(nothing.mean)
    assert nothing.count == 0


def test_several_targets_of_an_image_are_resampled_together():
    rows = [Row("p", t, *A, {"insertion": np.array(v)}) for t, v in (("cat", 0.0), ("dog", 1.0))]
    rows += [Row("q", "cat", *A, {"insertion": np.array(2.0)})]
    found = Evaluation("net", choose(["insertion"]), rows)
    assert found.summary(*A, "insertion").mean == 1
    assert found.summary(*A, "insertion").low == 0.5  # twice the first image: never 0


def test_the_same_seed_gives_the_same_interval():
    numbers = {A: [(v, 0) for v in np.random.default_rng(1).random(30)]}
    one, same, other = (evaluation(numbers, seed=seed).summary(*A, "insertion") for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_ranks():
    assert _ranks(np.array([[3.0], [1.0], [3.0]]))[:, 0].tolist() == [1.5, 3, 1.5]
