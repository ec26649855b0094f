"""Small models by name, and images of noise."""

import numpy as np

from camviz.types import Model, Preprocessing
from tests.helpers.modules import SIZE, make


def model(name: str, **changes) -> Model:
    return Model(name, make(name), Preprocessing(crop=(SIZE, SIZE), resize=SIZE), **changes)


def random_images(count: int, seed: int = 0, size=(SIZE, SIZE)) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]
