"""Sick runs of the model: values, modes, and gradients."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import camviz
from camviz.doctor import diagnose
from tests.helpers.sick_models import SAMPLES, Small, examine, names, photos, small


class Overflowing(Small):
    def forward(self, x):
        return self.fc((torch.relu(self.conv(x)) * 1e38 * 1e38).mean((2, 3)))


def test_nan_and_the_layer_where_it_begins():
    found = examine(Overflowing())
    assert "nan" in names(found)
    assert "'fc' (Linear)" in str(found)
    module = Small()
    with torch.no_grad():
        module.conv.weight[0, 0, 0, 0] = float("nan")
    found = examine(module)
    assert "'conv' (Conv2d)" in str(found)
    assert "its own weights are not finite" in str(found)


class Dropping(Small):
    def forward(self, x):
        return self.fc(F.dropout(torch.relu(self.conv(x)).mean((2, 3)), 0.5, training=True))


def test_an_answer_that_changes_each_time():
    found = examine(Dropping())
    assert "random" in names(found)
    assert "training=self.training" in str(found)


def test_a_model_in_training_mode():
    module = nn.Sequential(Small(), nn.Dropout())
    model = small(module)
    assert "training" not in names(diagnose(model, SAMPLES))
    module.train()
    found = diagnose(model, SAMPLES)
    assert "training" in names(found)
    assert "model.eval()" in str(found)
    assert module.training


def test_a_normalization_by_the_batch():
    module = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), Small())
    assert "training" in names(examine(module))


class Deaf(Small):
    def forward(self, x):
        return super().forward(x * 0)


def test_the_same_answer_for_every_image():
    assert "constant" in names(examine(Deaf()))


def test_frozen_and_in_place_is_only_a_note():
    module = nn.Sequential(nn.ReLU(inplace=True), Small()).requires_grad_(False)
    found = examine(module)
    assert [one.grade for one in found.findings if one.name == "frozen"] == ["note"]
    assert "4 of 4 parameters are frozen, 1 layers work in place" in str(found)
    assert "work in place" not in str(examine(nn.Sequential(nn.ReLU(inplace=True), Small())))


def test_too_few_images_are_not_judged(demo):
    assert diagnose(demo, SAMPLES[:1]).facts["one-class"] == "not judged: needs 8 images"
    assert "one-class" not in diagnose(demo, photos()).facts


def test_one_class_for_every_image(demo):
    other = camviz.load("demo")
    with torch.no_grad():
        other.module.classifier[1].bias[3] += 500
    found = names(diagnose(other))
    assert "one-class" in found
    assert "labels" not in found
