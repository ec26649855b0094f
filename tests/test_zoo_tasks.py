"""Every detector and segmenter of torchvision, untrained: a map of the right size, or a word why there is none."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

import camviz
from camviz.errors import InputError
from camviz.models.catalogue import listings
from tests.engine.test_capture import hook_count, state_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [one.name for one in listings().values() if one.task == "detection"])
def test_a_heatmap_of_every_detector(name, pixels):
    torch.manual_seed(0)
    model = camviz.load(name, weights="none")
    assert model.task == "detection"
    before = state_of(model.module)
    image = pixels(300, 200)
    for part in model.module.head.modules() if name.startswith("ssd300") else ():
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.normal_(part.weight, std=1e-4)  # as it is drawn, it is certain of everything
    with pytest.raises(InputError, match="no detection") as caught:
        camviz.explain(model, image, min_score=0.999)
    bar = float(caught.value.hint.partition("--min-score ")[2] or 0)
    [found] = camviz.explain(model, image, min_score=min(bar, 0.01))
    assert np.isfinite(found.values).all()
    assert np.abs(found.values).max() > 0
    assert min(found.values.shape) >= 7
    assert found.layer.startswith("backbone.")
    assert found.overlay().size == (300, 200)
    assert found.marks[0].box
    assert hook_count(model.module) == 0
    assert state_of(model.module) == before
    gc.collect()


@pytest.mark.parametrize("name", [one.name for one in listings().values() if one.task == "segmentation"])
def test_a_heatmap_of_every_segmenter(name, pixels):
    torch.manual_seed(0)
    model = camviz.load(name, weights="none")
    assert model.task == "segmentation"
    before = state_of(model.module)
    [found] = camviz.explain(model, pixels(300, 200), target="top1")
    assert np.isfinite(found.values).all()
    assert np.abs(found.values).max() > 0
    assert min(found.values.shape) >= 20
    assert found.layer.startswith("backbone.")
    assert found.overlay().size == (300, 200)
    assert found.marks[0].region.any()
    assert hook_count(model.module) == 0
    assert state_of(model.module) == before
    gc.collect()
