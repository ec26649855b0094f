"""Structural similarity, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from camviz.feature_maps.similarity import ssim
from tests.helpers.inputs import scenes


def flat(value, side=16):
    return np.full((side, side, 3), value, np.uint8)


def test_ssim_by_hand():
    c1 = (0.01 * 255) ** 2
    light = (2 * 50 * 100 + c1) / (50**2 + 100**2 + c1)  # no variance: the second factor is 1
    assert ssim(flat(50), flat(100)) == pytest.approx(light, rel=1e-9)
    assert ssim(flat(0, 8), flat(0, 8)) == pytest.approx(1)
    one = scenes(1)[0]
    assert ssim(one, one) == pytest.approx(1)
    assert ssim(one, 255 - one) < 0.3


def test_ssim_of_two_waves_by_hand():
    board = (np.indices((32, 32)).sum(0) % 2).astype(float)  # under an even window: mean ½, variance ¼
    one = np.repeat((100 + 100 * board)[..., None], 3, 2).astype(np.uint8)
    other = np.repeat((200 - 100 * board)[..., None], 3, 2).astype(np.uint8)
    c2 = (0.03 * 255) ** 2
    assert ssim(one, other) == pytest.approx((-2 * 2500 + c2) / (2 * 2500 + c2), abs=1e-3)
