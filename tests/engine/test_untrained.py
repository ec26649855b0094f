"""Weights as initialized are recognized, trained ones not."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

import camviz
from camviz.engine.untrained import as_initialized, untrained_head, untrained_weights


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "vgg11", "vit_b_32", "convnext_tiny", "swin_t"])
def test_torchvision_models_without_weights_are_untrained(name):
    assert untrained_weights(models.get_model(name))


def test_trained_weights_are_not_untrained():
    assert untrained_weights(camviz.load("demo").module) == ""
    assert untrained_head(camviz.load("demo").module) == ""


def test_a_uniform_layer_is_as_initialized_until_one_step_of_training():
    torch.manual_seed(0)
    layer = nn.Linear(100, 50)
    assert as_initialized(layer)
    with torch.no_grad():
        layer.weight += 0.1 * layer.weight.std() * torch.randn(50, 100)
    assert not as_initialized(layer)


def test_biases_of_zero_are_untrained_unless_one_moved():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.weight.normal_()
            layer.bias.zero_()
    assert "biases" in untrained_weights(net)
    with torch.no_grad():
        net[2].bias[3] = 0.01
    assert untrained_weights(net) == ""
