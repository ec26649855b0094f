"""How much a map varies."""

from __future__ import annotations

import numpy as np

from camviz.engine.map_checks import variation


def test_variation_is_between_the_extremes():
    assert variation(np.float32([[-1, 3], [np.nan, 2]])) == 4
    assert variation(np.float32([[7, 7]])) == 0
    assert variation(np.float32([[np.nan]])) == 0
