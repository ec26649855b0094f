"""Several labels per image, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import camviz
from camviz.errors import InputError
from camviz.tasks.multilabel import MultiLabel
from tests.helpers.means import WHOLE, Means, loaded


def test_several_labels_are_not_rivals():
    task = MultiLabel("net", ("cat", "dog", "bird"), min_score=0.5)
    row = torch.tensor([1.0, -3.0, 2.0])
    targets = task.choose(task.parse(["all"])[0], row, WHOLE)
    assert [t.label for t in targets] == ["bird", "cat"]
    assert targets[0].probability == pytest.approx(1 / (1 + math.exp(-2)))
    assert float(targets[1].read(row, "prob")) == pytest.approx(1 / (1 + math.exp(-1)))
    with pytest.raises(InputError, match=r"reaches 0\.5; .*'cat' with 0\.27"):
        task.choose(task.parse(["all"])[0], torch.tensor([-1.0, -3.0, -2.0]), WHOLE)


def test_an_image_may_have_several_maps_and_another_none():
    module = Means([[40.0, 0.0], [0.0, 40.0], [-40.0, 0.0]])
    with torch.no_grad():
        module.conv.weight.zero_()
        module.conv.weight[0, 0] = 1 / 64  # the mean of red
        module.conv.weight[1, 1] = 1 / 64  # the mean of green
    both, none = (np.zeros((32, 32, 3), np.uint8) for _ in range(2))
    both[..., :2] = 255
    model = loaded(module, task="multilabel")
    found = camviz.explain(model, both, target="all", min_score=0.9)
    assert [one.index for one in found] == [0, 1]
    assert [one.facets for one in found] == [("all0",), ("all1",)]
    from camviz.engine.explain import Explainer
    from camviz.io.notebook import as_images
    from camviz.models.preprocess import prepare
    from camviz.types import Request

    explainer = Explainer(model, Request(targets=("all",), min_score=0.9))
    shown = list(as_images([none, both]))
    prepared = [prepare(one, model.preprocessing) for one in shown]
    first, second = explainer(shown, [x for x, _ in prepared], [view for _, view in prepared])
    assert isinstance(first, InputError)
    assert not isinstance(second, InputError)
    for alone, beside in zip(found, second, strict=True):
        np.testing.assert_array_equal(alone.values, beside.values)
