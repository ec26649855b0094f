"""Tables of an evaluation: width, the best marked, HTML for notebooks."""

import numpy as np

from camviz.metrics import choose
from camviz.metrics.results import Evaluation
from camviz.metrics.statistics import Row
from tests.helpers.evaluations import RANDOM, A, evaluation


def test_the_table_fits_and_marks_the_best():
    metrics = ["all"]
    names = [measure.name for measure in choose(metrics)]
    values = [tuple(-0.12345 if name in ("road", "sanity") else 0.12345 for name in names)] * 3
    better = [tuple(0.54321 for _ in names)] * 3
    numbers = {("gradcam-elementwise", "features.18"): values, ("layercam", "features.18"): better, RANDOM: values}
    rows = [
        Row(f"p{i}", "cat", *name, {m: np.asarray(v) for m, v in zip(names, one, strict=True)})
        for name, images in numbers.items()
        for i, one in enumerate(images)
    ]
    text = str(Evaluation("net", choose(metrics), rows, notes=["something was odd"]))
    assert max(map(len, text.splitlines())) <= 100
    assert "0.543±0.000*" in text
    assert "-0.123±0.000" in text
    assert all(name.split("-")[-1] in text for name in names)
    assert "layer" in text  # two of them
    assert "3 images" in text
    assert text.rstrip().endswith("note: something was odd")


def test_a_notebook_gets_the_tables():
    html = evaluation({A: [(1, 1)]})._repr_html_()
    assert html.startswith("<pre")
    assert "gradcam" in html
