"""Small models by name, images of noise, scenes, generators."""

import numpy as np
import torch

from camviz.types import Model, Preprocessing
from tests.helpers.modules import SIZE, make
from tools.demo.scenes import draw_scene


def model(name: str, **changes) -> Model:
    return Model(name, make(name), Preprocessing(crop=(SIZE, SIZE), resize=SIZE), **changes)


def random_images(count: int, seed: int = 0, size=(SIZE, SIZE)) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scenes(count: int, seed: int = 11) -> list[np.ndarray]:
    """Scenes of the demo model's kinds, of 128 pixels."""
    rng = np.random.default_rng(seed)
    return [draw_scene(rng, 128, 128).image for _ in range(count)]
