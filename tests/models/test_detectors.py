"""torchvision's detectors inside a module of one's own."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

import camviz
from camviz.engine.explain import Explainer
from camviz.types import Request
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
