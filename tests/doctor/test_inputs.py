"""Images, normalization and targets that do not fit the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import camviz
from camviz.doctor import diagnose
from camviz.types import Model, Preprocessing
from tests.helpers.sick_models import REDDISH, SAMPLES, Colors, Small, examine, names, photos


def test_an_input_that_is_not_normalized():
    model = camviz.load(Small(), input_size=(64, 64), mean=(0.0,) * 3, std=(1 / 255,) * 3)
    found = diagnose(model, SAMPLES)
    assert "normalization" in names(found)
    assert "values reach 2" in str(found)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({}, None),
        ({"order": "bgr"}, "--channel-order rgb"),
        ({"mean": (0.0,) * 3, "std": (1.0,) * 3}, "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"),
    ],
)
def test_images_shown_otherwise_than_in_training(shown, expected):
    how = Preprocessing((64, 64), 64, **shown)
    found = diagnose(Model("colors", Colors(), how), REDDISH, method="gradient")
    assert ("normalization" in names(found)) == bool(expected), str(found)
    assert (expected or "") in str(found)


def test_a_class_that_the_model_does_not_see(demo):
    found = diagnose(demo, SAMPLES[:1], target=demo.labels[_last(demo)])
    assert "target" in names(found)
    assert "its best rank" in str(found)


def _last(demo: Model) -> int:
    """The least likely class of the first sample."""
    from camviz.io.images import read_image
    from camviz.models.preprocess import prepare

    values, _ = prepare(read_image(SAMPLES[0]), demo.preprocessing)
    with torch.no_grad():
        return int(demo.module(torch.from_numpy(values[None])).argmin())


@pytest.mark.parametrize("what", ["one color", "noise"])
def test_images_without_content(what, demo):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3), np.uint8)
    found = diagnose(demo, [np.zeros((64, 64, 3), np.uint8) if what == "one color" else noise])
    assert "images" in names(found)
    assert what in str(found)
    assert "images" not in names(diagnose(demo, photos()))


@pytest.mark.parametrize(
    ("last", "kind"), [(nn.Softmax(1), "softmax"), (nn.LogSoftmax(1), "log_softmax"), (nn.Sigmoid(), "sigmoid")]
)
def test_probabilities_inside(last, kind):
    found = examine(nn.Sequential(Small(), last))
    assert "probabilities" in names(found)
    assert f"ends in a {kind}:" in str(found)
    assert "probabilities" not in names(examine(Small()))
