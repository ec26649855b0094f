"""What is read from torchvision's source text is what torchvision itself says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision import models

from camviz.models.catalog import class_names, classifiers, imagenet_labels, listings, weights_file


def test_every_classifier_and_no_other():
    assert list(classifiers()) == sorted(models.list_models(module=models))


def test_every_other_model_too():
    assert list(listings()) == sorted(models.list_models())
    for task, package in (
        ("segmentation", models.segmentation),
        ("detection", models.detection),
        ("video classification", models.video),
        ("quantized classification", models.quantization),
        ("optical flow", models.optical_flow),
    ):
        expected = sorted(models.list_models(module=package))
        assert [name for name, one in listings().items() if one.task == task] == expected


def test_weights_and_their_addresses():
    expected = {name: {weights.name: weights.url for weights in models.get_model_weights(name)} for name in listings()}
    assert {name: listing.weights for name, listing in listings().items()} == expected


def test_default_weights():
    expected = {name: models.get_model_weights(name).DEFAULT.name for name in listings()}
    assert {name: listing.default for name, listing in listings().items()} == expected


def test_class_names():
    assert list(imagenet_labels()) == models.ResNet18_Weights.DEFAULT.meta["categories"]
    for name, listing in listings().items():
        expected = models.get_model_weights(name).DEFAULT.meta.get("categories", ())
        assert class_names(listing.categories) == tuple(expected), name


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TORCH_HOME": "/data/torch"},
        {"XDG_CACHE_HOME": "/data/cache"},
        {"TORCH_HOME": "~/t", "XDG_CACHE_HOME": "/c"},
    ],
)
def test_downloads_lie_where_torch_puts_them(monkeypatch, environment):
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    expected = Path(torch.hub.get_dir()) / "checkpoints" / "resnet18-f37072fd.pth"
    assert weights_file("https://download.pytorch.org/models/resnet18-f37072fd.pth") == expected
