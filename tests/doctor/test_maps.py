"""Layers and methods whose maps show nothing."""

from __future__ import annotations

import torch
from torch import nn

import camviz
from camviz.doctor import diagnose
from tests.helpers.modules import make
from tests.helpers.sick_models import SAMPLES, Small, examine, names


class Blocked(Small):
    def forward(self, x):
        return self.fc(self.conv(x).relu().detach().mean((2, 3)))


def test_a_score_that_does_not_depend_on_the_layer():
    found = examine(Blocked(), layer="conv")
    assert "gradient" in names(found), str(found)


def test_patch_tokens_that_nothing_reads_any_more():
    model = camviz.load(make("vit"), input_size=(32, 32))
    found = diagnose(model, SAMPLES, layer="encoder.layers.encoder_layer_1")
    assert "gradient" in names(found), str(found)
    [one] = [one for one in found.findings if one.name == "gradient"]
    assert "'encoder.layers.encoder_layer_1'" in one.seen
    assert "only its 1 prefix token" in one.evidence
    assert one.command.endswith("--layer encoder.layers.encoder_layer_1.ln_1")
    assert "gradient" not in names(diagnose(model, SAMPLES, layer="encoder.layers.encoder_layer_1.ln_1"))


def test_maps_without_a_positive_value():
    module = Small()
    with torch.no_grad():
        module.fc.weight.fill_(-1)
    found = examine(module, layer="conv", target="0", method="gradcam")
    if "negative" not in names(found):  # the convolution's own values may be negative; behind the ReLU none is
        module = nn.Sequential(module.conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), module.fc)
        found = examine(module, layer="1", target="0")
    assert "negative" in names(found)
    assert "--sign both" in str(found)


def test_maps_no_stronger_than_noise():
    """A layer that says the same everywhere: its maps vary by nothing, as any noise does at least."""
    module = Small()
    nn.init.zeros_(module.conv.weight)
    nn.init.ones_(module.conv.bias)
    assert "weak" in names(examine(module))


def test_a_saturated_softmax():
    module = Small()
    with torch.no_grad():
        module.fc.bias[2] = 1e4
    assert "saturated" in names(examine(module, score="prob"))
    assert "saturated" not in names(examine(module))


def test_guided_backpropagation_without_a_relu():
    module = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.SiLU(), nn.Flatten(), nn.Linear(512, 5))
    assert "guided" in names(examine(module, method="guided-backprop"))
    assert "guided" not in names(examine(Small(), method="guided-backprop"))


def test_a_layer_too_coarse_and_a_layer_too_early(demo):
    coarse = nn.Sequential(nn.Conv2d(3, 8, 32, 32), nn.ReLU(), nn.Flatten(), nn.Linear(32, 5))
    assert "resolution" in names(examine(coarse))
    found = diagnose(demo, SAMPLES, layer="features.0")
    assert "resolution" in names(found)
    assert "is early" in str(found)
