"""Patches on their squares."""

from __future__ import annotations

import numpy as np

from camviz.feature_maps.visualization.patch_figures import patch_tile


def test_a_patch_cut_by_the_edge_is_not_zoomed():
    for size, (height, width) in (((10, 20), (128, 256)), ((10, 10), (128, 128))):
        inked = (patch_tile(np.zeros((*size, 3), np.uint8), 20) == 0).all(2)
        assert (inked.any(1).sum(), inked.any(0).sum()) == (height, width)
