"""The sparsity metric(s), by hand."""

import numpy as np
import pytest

from camviz.metrics.sparsity import gini, sparsity


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
