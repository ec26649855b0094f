"""What every number is read against: maps that know nothing of the model."""

from __future__ import annotations

import numpy as np

from camviz.types import Map

RANDOM, GAUSSIAN = "random", "gaussian"
BASELINES = (RANDOM, GAUSSIAN)
_SIGMA = 0.25  # of each side


def noise(shape: tuple[int, ...], seed: int) -> Map:
    """Independent uniform values, of the size of the other maps at the layer."""
    return np.random.default_rng(seed).random(shape, np.float32)


def centered(shape: tuple[int, ...]) -> Map:
    """A Gaussian in the middle, a quarter of each side wide: what knowing that photographers aim is worth."""
    down, across = (np.exp(-0.5 * (((np.arange(n) + 0.5) / n - 0.5) / _SIGMA) ** 2) for n in shape)
    return np.asarray(down[:, None] * across[None], np.float32)
