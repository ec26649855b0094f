"""Sick weights, images without content and probabilities inside, each named; healthy models are not accused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import camviz
from camviz.doctor import diagnose
from camviz.types import Image, Model
from tests.doctor.test_checks import SAMPLES, Small, examine, names


@pytest.fixture(scope="module")
def demo() -> Model:
    return camviz.load("demo")


def photos(count: int = 8) -> list[np.ndarray]:
    """Smooth images of random colors."""
    rng = np.random.default_rng(0)
    waves = [np.sin(np.linspace(0, rng.uniform(2, 9), 64)) for _ in range(2 * count)]
    return [
        np.uint8(128 + 60 * waves[2 * i][:, None, None] * waves[2 * i + 1][None, :, None] * rng.uniform(0.5, 1, 3))
        for i in range(count)
    ]


@pytest.mark.parametrize("what", ["one color", "noise"])
def test_images_without_content(what, demo):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3), np.uint8)
    found = diagnose(demo, [np.zeros((64, 64, 3), np.uint8) if what == "one color" else noise])
    assert "images" in names(found)
    assert what in str(found)
    assert "images" not in names(diagnose(demo, photos()))


def test_too_few_images_are_not_judged(demo):
    assert diagnose(demo, SAMPLES[:1]).facts["one-class"] == "not judged: needs 8 images"
    assert "one-class" not in diagnose(demo, photos()).facts


@pytest.mark.parametrize(
    ("last", "kind"), [(nn.Softmax(1), "softmax"), (nn.LogSoftmax(1), "log_softmax"), (nn.Sigmoid(), "sigmoid")]
)
def test_probabilities_inside(last, kind):
    found = examine(nn.Sequential(Small(), last))
    assert "probabilities" in names(found)
    assert f"ends in a {kind}:" in str(found)
    assert "probabilities" not in names(examine(Small()))


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


def test_one_class_for_every_image(demo):
    other = camviz.load("demo")
    with torch.no_grad():
        other.module.classifier[1].bias[3] += 500
    found = names(diagnose(other))
    assert "one-class" in found
    assert "labels" not in found


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


def test_the_command_keeps_everything_that_was_typed(demo):
    request = camviz.types.ModelRequest(
        "net.py:Net", checkpoint="my file.pth", mean=(0.5,), std=(0.25,), task="classification"
    )
    job = camviz.types.Request(
        request, targets=("cat", "dog"), methods=("layercam",), fit="squash", settings=(("a", "1"),)
    )
    from camviz.doctor.examination import Examination

    typed = Examination(demo, job, [Image(photos(1)[0])]).command("--mean 0,0,0")
    for words in (
        "-m net.py:Net",
        "--checkpoint 'my file.pth'",
        "--std 0.25",
        "--target cat --target dog",
        "--set a=1",
    ):
        assert words in typed
    assert typed.count("--mean") == 1
