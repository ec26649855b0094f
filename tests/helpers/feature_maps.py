"""Four channels whose energy, variance and peak are known."""

from __future__ import annotations

import numpy as np

from camviz.feature_maps.maps import FeatureMaps
from camviz.types import Image, View

VALUES = np.array(
    [
        [[1, 2], [3, 4]],  # energy 30, variance 1.25, peak 4
        [[0, 0], [0, 0]],  # dead
        [[0, 0], [0, 5]],  # energy 25, variance 4.6875, peak 5
        [[-3, -3], [-3, -3]],  # energy 36, variance 0, peak 3
    ],
    np.float32,
)


def maps(values=VALUES, **more) -> FeatureMaps:
    image = Image(np.zeros((8, 8, 3), np.uint8))
    return FeatureMaps(values, "features.3", "net", image, View((8, 8), (0, 0, 8, 8), (8, 8)), **more)
