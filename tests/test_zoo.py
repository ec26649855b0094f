"""Every image classifier of torchvision, untrained, through the command's own path."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from torchvision import models

import camviz
from tests.engine.test_capture import hook_count, state_of

HANDFUL = ["squeezenet1_1", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "swin_t", "vit_b_32", "googlenet"]
REST = [name for name in models.list_models(module=models) if name not in HANDFUL]


@pytest.mark.parametrize("name", [*HANDFUL, *(pytest.param(name, marks=pytest.mark.slow) for name in REST)])
def test_a_heatmap_of_every_classifier(name, pixels):
    torch.manual_seed(0)
    model = camviz.load(name, weights="none")
    head = [part for part in model.module.modules() if isinstance(part, torch.nn.Linear)]
    if head and not head[-1].weight.any():
        torch.nn.init.normal_(head[-1].weight, std=0.02)  # ViT's head starts at zero, and so would every map
    before = state_of(model.module)
    [found] = camviz.explain(model, pixels(300, 200))
    assert np.isfinite(found.values).all()
    assert np.abs(found.values).max() > 0
    assert min(found.values.shape) >= 4
    assert found.overlay().size == (300, 200)
    assert hook_count(model.module) == 0
    assert state_of(model.module) == before
    del model
    gc.collect()
