"""Feature maps with known values: each ranking, reduction and scale, exactly."""

import numpy as np
import pytest

import camviz
from camviz.feature_maps.maps import check_finite
from tests.helpers.feature_maps import VALUES, maps


def test_energy_shares_and_dead_channels():
    one = maps()
    assert one.energy.tolist() == [30, 0, 25, 36]
    np.testing.assert_allclose(one.shares, [30 / 91, 0, 25 / 91, 36 / 91])
    assert one.dead.tolist() == [False, True, False, False]
    assert one.sparsity == 7 / 16
    assert one.signed
    assert one.stride == 4


def test_ranking():
    one = maps(contributions=np.array([0.5, 9, -1, 2], np.float32))
    assert one.order("energy") == [3, 0, 2]
    assert one.order("variance") == [2, 0, 3]
    assert one.order("peak") == [2, 0, 3]
    assert one.order("contribution") == [3, 0, 2]  # the dead one is left out, however it is weighted
    assert one.order("index") == [0, 1, 2, 3]


def test_ranking_by_contribution_needs_a_target():
    with pytest.raises(camviz.CamvizError, match="needs a target"):
        maps().order("contribution")


def test_reductions():
    one = maps()
    assert one.reduce("sum").tolist() == [[-2, -1], [0, 6]]
    assert one.reduce("mean").tolist() == [[-0.5, -0.25], [0, 1.5]]
    assert one.reduce("max").tolist() == [[1, 2], [3, 5]]
    np.testing.assert_allclose(one.reduce("l2"), np.sqrt([[10, 13], [18, 50]]), rtol=1e-6)


def test_a_sum_leaves_channel_0_alone_and_does_not_wrap_at_256():
    values = np.full((300, 2, 2), 200, np.float32)
    one = maps(values)
    assert one.reduce("sum").tolist() == [[60000, 60000], [60000, 60000]]
    assert (one.values == 200).all()


def test_groups_of_channels_that_look_alike():
    a, b = np.array([[1, 0], [0, 0]], np.float32), np.array([[0, 0], [1, 1]], np.float32)
    one = maps(np.stack([a, 3 * b, 2 * a, b, 0 * a, 5 * a]))
    first, second = one.groups(2)
    assert first.channels == (0, 2, 5)
    assert second.channels == (1, 3)
    # energies: 1, 18, 4, 2, 0, 25
    assert first.share == pytest.approx(30 / 50)
    np.testing.assert_allclose(first.values, 8 / 3 * a, rtol=1e-6)
    np.testing.assert_allclose(second.values, 2 * b)


def test_groups_of_a_silent_layer_are_none():
    assert maps(np.zeros((3, 2, 2), np.float32)).groups(4) == []


def test_values_that_are_not_finite_are_named():
    values = VALUES.copy()
    values[2, 0, 0] = np.nan
    assert check_finite([maps(), maps(values)]) == "NaN or infinite values at layer 'features.3'"
    assert check_finite([maps()]) == ""
