"""torchvision's detectors and segmenters by name: all of them, with their class names and their preprocessing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torchvision import models

import camviz
from camviz.models.catalogue import detectors, labels_of, segmenters
from camviz.models.load import plan
from camviz.models.preprocess import prepare
from camviz.types import ModelRequest, Picture
from tests.engine.test_explain import pictures


def test_every_detector_and_segmenter_and_no_other():
    assert list(detectors()) == sorted(models.list_models(module=models.detection))
    assert list(segmenters()) == sorted(models.list_models(module=models.segmentation))
    for name, listing in (detectors() | segmenters()).items():
        enum = models.get_model_weights(name)
        assert listing.weights == {weights.name: weights.url for weights in enum}
        assert listing.default == enum.DEFAULT.name


@pytest.mark.parametrize("name", [*detectors(), *segmenters()])
def test_class_names_are_known_before_anything_is_built(name):
    planned = plan(ModelRequest(name))
    assert list(planned.labels) == models.get_model_weights(name).DEFAULT.meta["categories"]
    assert planned.task == ("detection" if name in detectors() else "segmentation")


def test_class_names_of_another_number():
    assert labels_of(7) == ()


def test_the_preprocessing_is_torchvision_s():
    from torchvision.models.segmentation import FCN_ResNet50_Weights

    transform = FCN_ResNet50_Weights.DEFAULT.transforms()
    model = camviz.load("fcn_resnet50", weights="none")
    assert model.labels[15] == "person"
    for width, height in ((500, 375), (334, 500), (640, 427), (501, 375)):
        pixels = pictures(1, size=(height, width))[0]
        values, view = prepare(Picture(pixels), model.preprocessing)
        expected = transform(Image.fromarray(pixels))
        assert view.box == (0, 0, width, height)
        np.testing.assert_allclose(values, expected.numpy(), atol=1e-5)
