"""A map with every field that a run database keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from camviz.types import Image, SaliencyMap, View

IMAGE = Image(np.zeros((30, 40, 3), np.uint8), Path("a.png"))


def saliency(seed: int = 0, **changed) -> SaliencyMap:
    values = np.random.default_rng(seed).standard_normal((7, 5)).astype(np.float32)
    view = View((40, 30), (1.5, 0.0, 38.25, 30.0), (32, 32))
    known = {"method": "gradcam", "layer": "l.0", "target": "猫", "index": 3, "score": 1.25, "probability": 0.5}
    known |= {"model": "net", "view": view, "image": IMAGE, "facts": {"note": "x"}, "facets": ("top1", "gradcam")}
    return SaliencyMap(values, **{**known, **changed})
