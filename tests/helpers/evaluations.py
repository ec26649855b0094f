"""Evaluations whose rows are known."""

from __future__ import annotations

import numpy as np

from camviz.metrics import choose
from camviz.metrics.results import Evaluation
from camviz.metrics.statistics import Row


def evaluation(numbers, metrics=("insertion", "deletion"), **fields):
    """`numbers`: by (method, layer) a list over images of values in the order of the metrics."""
    rows = [
        Row(f"p{i}", "cat", *name, {m: np.asarray(v, float) for m, v in zip(metrics, values, strict=True)})
        for name, images in numbers.items()
        for i, values in enumerate(images)
    ]
    return Evaluation("net", choose(metrics), rows, **fields)


A, B, RANDOM = ("gradcam", "l4"), ("layercam", "l4"), ("random", "l4")
