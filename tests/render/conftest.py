"""Images and maps made on the spot."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from camviz.types import Image, SaliencyMap, View

Make = Callable[..., SaliencyMap]


@pytest.fixture
def make() -> Make:
    """A map, with its image, from its values and the image's (width, height)."""

    def build(values: Any, size: tuple[int, int] = (32, 24), box: Any = None, **facts: Any) -> SaliencyMap:
        width, height = size
        pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
        known: dict[str, Any] = {
            "method": "gradcam", "layer": "layer4", "target": "zebra", "index": 340, "score": 12.5,
            "probability": 0.931, "model": "resnet50", "view": View(size, box or (0, 0, width, height), (224, 224)),
            "image": Image(pixels),
        }  # fmt: skip
        return SaliencyMap(np.asarray(values, np.float32), **{**known, **facts})

    return build
