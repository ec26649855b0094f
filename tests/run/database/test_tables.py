"""Columns of raw maps and of the views they lie in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from camviz.run.database.records import SavedMap
from camviz.run.database.tables import columns, saved
from camviz.types import Image, SaliencyMap, View

IMAGE = Image(np.zeros((30, 40, 3), np.uint8), Path("a.png"))


def saliency(seed: int = 0, **changed) -> SaliencyMap:
    values = np.random.default_rng(seed).standard_normal((7, 5)).astype(np.float32)
    view = View((40, 30), (1.5, 0.0, 38.25, 30.0), (32, 32))
    known = {"method": "gradcam", "layer": "l.0", "target": "猫", "index": 3, "score": 1.25, "probability": 0.5}
    known |= {"model": "net", "view": view, "image": IMAGE, "facts": {"note": "x"}, "facets": ("top1", "gradcam")}
    return SaliencyMap(values, **{**known, **changed})


def test_where_cells_lie_comes_back():
    view = View((40, 30), (1.5, 0.0, 38.25, 30.0), (32, 32), (0.125, 0.25, 0.75, 0.5))
    row = columns(SavedMap.of(saliency(view=view)))
    assert saved(row).view == view


def test_a_view_of_a_run_of_the_first_release_comes_back():
    row = [*columns(SavedMap.of(saliency()))]
    place = next(i for i, value in enumerate(row) if isinstance(value, str) and '"box"' in value)
    row[place] = '{"picture": [40, 30], "box": [1.5, 0.0, 38.25, 30.0], "size": [32, 32]}'
    assert saved(tuple(row)).view == View((40, 30), (1.5, 0.0, 38.25, 30.0), (32, 32))
