"""torchvision's segmenters and detectors; what is told of those that take no image is in tests/test_zoo.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from torchvision import models

import camviz
from camviz.hooks.capture import first_tensor
from camviz.models.load import plan
from camviz.models.preprocess import prepare
from camviz.types import Image, ModelRequest, Preprocessing
from tests.helpers.inputs import random_images

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("name", "task", "classes", "expected"),
    [
        ("lraspp_mobilenet_v3_large", "segmentation", 21, Preprocessing((520, 520), 520, *IMAGENET, longest=2080)),
        (
            "fasterrcnn_mobilenet_v3_large_320_fpn",
            "detection",
            91,
            Preprocessing((320, 320), 320, (0.0,) * 3, (1.0,) * 3, longest=640, multiple=32, fill=IMAGENET[0]),
        ),
        ("ssdlite320_mobilenet_v3_large", "detection", 91, Preprocessing((320, 320), None, (0.0,) * 3, (1.0,) * 3)),
    ],
)
def test_other_tasks(name, task, classes, expected):
    model = camviz.load(name, weights="none")
    assert (model.task, model.preprocessing) == (task, expected)
    assert model.labels == tuple(models.get_model_weights(name).DEFAULT.meta["categories"])
    assert len(model.labels) == classes
    ahead = plan(ModelRequest(name))
    assert (ahead.task, ahead.labels) == (task, model.labels)


def test_nothing_is_downloaded_for_an_untrained_backbone(monkeypatch):
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", None)
    for name in ("deeplabv3_mobilenet_v3_large", "retinanet_resnet50_fpn"):
        camviz.load(name, weights="none")


def test_a_segmenter_has_the_parts_its_weights_have():
    untrained = camviz.load("deeplabv3_mobilenet_v3_large", weights="none").module
    assert untrained.aux_classifier is not None
    with torch.no_grad():
        assert first_tensor(untrained(torch.zeros(1, 3, 64, 64))).shape == (1, 21, 64, 64)


def test_layers_of_a_detector_without_its_weights(run):
    result = run("layers", "ssdlite320_mobilenet_v3_large", "--depth", "1")
    assert result.exit_code == 0, result.stderr
    assert "backbone" in result.stdout


def test_the_preprocessing_is_torchvision_s():
    from torchvision.models.segmentation import FCN_ResNet50_Weights

    transform = FCN_ResNet50_Weights.DEFAULT.transforms()
    model = camviz.load("fcn_resnet50", weights="none")
    assert model.labels[15] == "person"
    for width, height in ((500, 375), (334, 500), (640, 427), (501, 375)):
        pixels = random_images(1, size=(height, width))[0]
        values, view = prepare(Image(pixels), model.preprocessing)
        expected = transform(PILImage.fromarray(pixels))
        assert view.box == (0, 0, width, height)
        np.testing.assert_allclose(values, expected.numpy(), atol=1e-5)
