"""The random map and the centered Gaussian."""

import numpy as np
import pytest

from camviz.metrics.baselines import centered, noise


def test_baseline_maps():
    assert noise((3, 4), 1).shape == (3, 4)
    assert np.array_equal(noise((3, 4), 1), noise((3, 4), 1))
    assert not np.array_equal(noise((3, 4), 1), noise((3, 4), 2))
    middle = centered((5, 9))
    assert middle.argmax() == 2 * 9 + 4
    assert middle[2, 4] == 1
    assert middle[2, 4 - 2] == pytest.approx(np.exp(-0.5 * (2 / 9 / 0.25) ** 2))
