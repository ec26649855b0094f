"""Preprocessing that is requested, stated by the module, or assumed and reported."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import camviz
from camviz.errors import ModelError, RequestError
from camviz.models.finish import describe_input
from camviz.models.preprocess import prepare
from camviz.types import Image


class Net(nn.Module):
    """One convolution and a head; keywords become attributes."""

    def __init__(self, channels: int = 3, **attributes: Any) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(channels, 4, 3), nn.Linear(4, 3)
        vars(self).update(attributes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x).relu().mean((2, 3)))


def of_library(name: str, kind: str = "Net", channels: int = 3, **attributes: Any) -> nn.Module:
    return type(kind, (Net,), {"__module__": f"{name}.models"})(channels, **attributes)


def test_what_is_assumed_is_said_once():
    model = camviz.load(Net())
    [note] = [note for note in model.notes if "assumed" in note]
    assert "ImageNet" in note
    assert "224" in note
    assert model.sources["preprocessing"] == "assumed"


def test_what_is_given_is_not_assumed():
    model = camviz.load(Net(), input_size=(64, 64), mean=(0.5,), std=(0.5,))
    assert not any("assumed" in note for note in model.notes)


def test_known_models_assume_nothing():
    model = camviz.load("mobilenet_v2", weights="none")
    assert not any("assumed" in note for note in model.notes)


def test_timm_configuration_of_a_module_and_of_a_backbone():
    config = {"input_size": (3, 299, 299), "crop_pct": 0.875, "mean": (0.5,) * 3, "std": (0.4,) * 3}
    how = camviz.load(Net(pretrained_cfg=config)).preprocessing
    assert (how.crop, how.resize, how.mean, how.std) == ((299, 299), 341, (0.5,) * 3, (0.4,) * 3)
    wrapped = camviz.load(nn.Sequential(Net(default_cfg=config)))
    assert wrapped.preprocessing.crop == (299, 299)
    assert "0.pretrained_cfg" in wrapped.sources["preprocessing"]


def test_torchxrayvision_takes_one_channel_of_its_own_range():
    model = camviz.load(of_library("torchxrayvision", "DenseNet", 1, targets=["Cough", "", "Mass"]))
    assert (model.labels, model.task) == (("Cough", "class 1", "Mass"), "multilabel")
    black, white = (prepare(Image(np.full((8, 8, 3), v, np.uint8)), model.preprocessing)[0] for v in (0, 255))
    assert (black.min(), white.max()) == (-1024, 1024)
    assert black.shape == (1, 224, 224)


def test_ultralytics_letterboxes_and_has_names():
    model = camviz.load(of_library("ultralytics", names={0: "person", 1: "car", 2: "dog"}))
    assert (model.labels, model.preprocessing.longest, model.preprocessing.mean) == (
        ("person", "car", "dog"),
        640,
        (0.0, 0.0, 0.0),
    )


@pytest.mark.parametrize(
    "attributes", [{"image_size": 96}, {"img_size": (96, 96)}, {"config": SimpleNamespace(image_size=96)}]
)
def test_attributes_state_the_size(attributes):
    assert camviz.load(Net(**attributes)).preprocessing.crop == (96, 96)


def test_numbers_of_0_to_255_are_divided_and_said():
    model = camviz.load(Net(), mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    assert model.preprocessing.mean == pytest.approx((0.485, 0.456, 0.406))
    assert model.preprocessing.std == pytest.approx((0.229, 0.224, 0.225))
    assert any("255" in note for note in model.notes)
    caffe = camviz.load(Net(), mean=(104, 117, 123), std=(1,)).preprocessing
    assert caffe.std == pytest.approx((1 / 255,) * 3)


def test_numbers_of_two_scales_are_refused():
    with pytest.raises(RequestError, match=r"123\.675"):
        camviz.load(Net(), mean=(123.675, 116.28, 103.53), std=(0.229, 0.224, 0.225))
    with pytest.raises(RequestError, match="--std"):
        camviz.load(Net(), mean=(123.675, 116.28, 103.53))


@pytest.mark.parametrize(("low", "high"), [(-1024, 1024), (-1, 1), (0, 255)])
def test_a_range_is_what_black_and_white_are(low, high):
    how = camviz.load(Net(), range=(low, high)).preprocessing
    for level, expected in ((0, low), (255, high)):
        values, _ = prepare(Image(np.full((8, 8, 3), level, np.uint8)), how)
        assert values.max() == pytest.approx(expected, abs=1e-3)
    with pytest.raises(RequestError, match="--range"):
        camviz.load(Net(), range=(high, low))


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
def test_a_description_names_the_channels(channels):
    assert f"{channels} channel" in describe_input(camviz.load(Net(channels)))


def test_more_than_four_channels_are_refused():
    model = camviz.load(Net(13), input_size=(32, 32))
    with pytest.raises(RequestError, match="13 channels"):
        camviz.explain(model, np.zeros((32, 32, 3), np.uint8))


@pytest.mark.parametrize("kind", [nn.Conv3d, nn.Conv1d])
def test_volumes_and_signals_get_their_own_words(kind):
    with pytest.raises(ModelError, match="-D convolution"):
        camviz.load(nn.Sequential(kind(1, 4, 3)))
