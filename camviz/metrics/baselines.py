"""Baseline maps that do not depend on the model: every metric is reported next to them."""

from __future__ import annotations

import numpy as np

from camviz.types import Map

RANDOM, GAUSSIAN = "random", "gaussian"
BASELINES = (RANDOM, GAUSSIAN)
_SIGMA = 0.25  # of each side


def noise(shape: tuple[int, ...], seed: int) -> Map:
    """Return independent uniform values in [0, 1)."""
    return np.random.default_rng(seed).random(shape, np.float32)


def centered(shape: tuple[int, ...]) -> Map:
    """Return a centered Gaussian with a standard deviation of a quarter of each side."""
    down, across = (np.exp(-0.5 * (((np.arange(n) + 0.5) / n - 0.5) / _SIGMA) ** 2) for n in shape)
    return np.asarray(down[:, None] * across[None], np.float32)
