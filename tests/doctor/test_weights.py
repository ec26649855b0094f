"""Sick weights: untrained, partly loaded, of few values, with the statistics of other data."""

from __future__ import annotations

import torch
from torch import nn

import camviz
from camviz.doctor import diagnose
from camviz.types import Model
from tests.helpers.sick_models import SAMPLES, Small, examine, names, small


def test_untrained_by_its_batch_normalizations():
    found = diagnose(camviz.load("demo", weights="none"), SAMPLES)
    assert "untrained" in names(found)
    [one] = [one for one in found.findings if one.name == "untrained"]
    assert "20 of 20 BatchNorm layers" in one.evidence
    assert "--weights default" in one.command


def test_untrained_by_its_other_normalizations():
    module = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 5))
    assert "untrained" in names(examine(module))
    with torch.no_grad():
        module[1].weight[3] = 1.25
        for parameter in module[4].parameters():
            parameter.normal_()
    assert "untrained" not in names(examine(module))


def test_untrained_by_the_spread_of_its_weights():
    module = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 5))
    found = examine(module)
    assert "untrained" in names(found)
    assert "2 of 2 layers" in str(found)


def test_a_head_that_was_never_trained():
    module = Small(classes=40)
    module.fc = nn.Linear(8, 40)
    found = examine(module)
    assert "untrained" in names(found)
    assert "'fc' (8 to 40)" in str(found)


def test_a_checkpoint_that_hardly_fits():
    model = small(Small())
    half = Model(
        model.name, model.module, model.preprocessing, notes=("2 of 4 tensors fit; 2 missing (fc)",), fitted=(2, 4)
    )
    [one] = [one for one in diagnose(half, SAMPLES).findings if one.name == "misfit"]
    assert (one.grade, one.seen) == ("serious", "2 of 4 tensors did not come from the checkpoint")


def test_weights_of_two_bits_are_quantized():
    demo = camviz.load("demo")
    with torch.no_grad():
        for layer in demo.module.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                step = layer.weight.abs().max() / 1.5
                layer.weight.copy_(((layer.weight / step - 0.5).round().clamp(-2, 1) + 0.5) * step)
    found = diagnose(demo, SAMPLES)
    assert "quantized" in names(found)
    assert "2 bits" in str(found)


def test_statistics_of_other_data():
    other = camviz.load("demo")
    generator = torch.Generator().manual_seed(0)
    for layer in other.module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            order = torch.randperm(len(layer.running_mean), generator=generator)
            layer.running_mean, layer.running_var = layer.running_mean[order], layer.running_var[order]
    found = names(diagnose(other))
    assert "statistics" in found
    assert "labels" not in found


def test_a_part_that_was_not_loaded():
    other = camviz.load("demo")
    norms = [layer for layer in other.module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms[:5]:
        layer.reset_running_stats()
    [one] = [one for one in diagnose(other, SAMPLES).findings if one.name == "untrained"]
    assert one.seen == "a part of the model is untrained"
    assert one.evidence.startswith("5 layers")
