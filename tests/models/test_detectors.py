"""torchvision's detectors inside a module of one's own."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

import camviz
from camviz.engine.explain import Explainer
from camviz.models.detectors import economical, preprocessing_of
from camviz.models.preprocess import prepare
from camviz.models.survey import survey
from camviz.types import Image, Request
from tests.helpers.dense import make
from tests.helpers.inputs import random_images


class Wrapped(nn.Module):
    """A detector inside a module of the user's, which returns tuples."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.model = detector

    def forward(self, x):
        return [(found["labels"], found["boxes"], found["scores"]) for found in self.model(x)]


@pytest.mark.parametrize("name", ["ssd", "fcos"])
def test_a_detector_inside_another_module_equals_the_bare_one(name):
    image, detector = random_images(1, size=(90, 130))[0], make(name)
    bare, wrapped = camviz.load(detector), camviz.load(Wrapped(detector))
    assert wrapped.preprocessing == bare.preprocessing
    [expected] = camviz.explain(bare, image, min_score=0.1)
    [found] = camviz.explain(wrapped, image, min_score=0.1)
    assert found.layer == f"model.{expected.layer}"
    assert found.score == expected.score
    np.testing.assert_array_equal(found.values, expected.values)
    assert not any("cropped" in note for note in Explainer(wrapped, Request()).notes)


def test_a_survey_works_small_and_leaves_the_model_alone():
    module = make("faster-rcnn")
    module.transform.min_size, module.transform.max_size = (800,), 1333
    proposals = module.rpn._post_nms_top_n
    seen = survey(module, (800, 1088))
    assert seen.input_size == (256, 352)
    assert (module.transform.min_size, module.transform.max_size) == ((800,), 1333)
    assert module.rpn._post_nms_top_n is proposals
    with economical(make("ssd"), (128, 128)) as size:
        assert size == (128, 128)


def test_the_preprocessing_of_real_sizes():
    class Transform:
        image_mean, image_std, size_divisible = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 32
        min_size, max_size, fixed_size = (800,), 1333, None

    module = nn.Module()
    module.transform = Transform()
    how = preprocessing_of(module)
    assert (how.resize, how.longest, how.multiple) == (800, 1312, 32)
    for width, height in ((640, 480), (500, 375), (375, 500), (1920, 1080), (2000, 300)):
        _, view = prepare(Image(np.zeros((height, width, 3), np.uint8)), how)
        sides = view.size
        assert all(side % 32 == 0 for side in sides)
        assert 1 <= min(800 / min(sides), 1333 / max(sides)) <= 1.02 or min(sides) > 800
    assert preprocessing_of(nn.Module()) is None
