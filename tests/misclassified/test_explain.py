"""Predictions, three maps and the smallest region that flips a prediction, on a model computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from camviz.engine.explain import Explainer
from camviz.errors import InputError
from camviz.misclassified.explain import explain_error, predict, smallest_region
from camviz.types import Image, Model, Preprocessing, Request, View

LABELS = ("left", "right")


class Halves(nn.Module):
    """Scores: the sum of the left half of the red channel, and that of the right half."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.zeros_(self.conv.weight)
        nn.init.ones_(self.conv.weight[:, :1])

    def forward(self, x):
        seen = self.conv(x)
        return torch.stack([seen[..., :10].sum((1, 2, 3)), seen[..., 10:].sum((1, 2, 3))], 1)


@pytest.fixture
def explainer():
    how = Preprocessing((20, 20), 20, (0.0,) * 3, (1.0,) * 3)
    return Explainer(Model("halves", Halves().eval(), how, LABELS), Request(methods=("hirescam",)))


def values(left: float, right: float) -> np.ndarray:
    made = np.zeros((3, 20, 20), np.float32)
    made[0, :, :10], made[0, :, 10:] = left, right
    return made


def test_the_smallest_region_has_as_many_pixels_as_are_needed(explainer):
    """Left scores 200 · 1, right 200 · 0.75: 50 pixels gone is a draw, for the first; so 51."""
    map = values(1, 0)[0]
    region, becomes = smallest_region(explainer, values(1, 0.75), map, 0)
    assert becomes == 1
    assert region.sum() == 51
    assert not region[:, 10:].any()


def test_pixels_are_removed_in_the_order_of_the_map(explainer):
    map = np.arange(400, dtype=np.float32).reshape(20, 20)
    map[:, 10:] = -1
    region, _ = smallest_region(explainer, values(1, 0.75), map, 0)
    assert region[19, 9]
    assert not region[0, 0]


def test_pixels_without_a_value_are_removed_last(explainer):
    map = np.full((20, 20), np.nan, np.float32)
    map[:, :14] = np.linspace(1, 2, 14)
    region, _ = smallest_region(explainer, values(1, 0.75), map, 0)
    assert region[:, 12].all()
    assert not region[:, 14:].any()


def test_a_prediction_that_never_changes(explainer):
    """Without any pixel both scores are zero: the first class, still."""
    assert smallest_region(explainer, values(1, 0), values(1, 0)[0], 0) is None


def test_predictions(explainer):
    first, second = predict(explainer, [values(0.01, 0), values(0, 0.01)], [0, 0])
    assert (first.predicted, first.correct) == (0, True)
    assert (second.predicted, second.correct) == (1, False)
    sure = 1 / (1 + np.exp(-2))  # of the logits 2 and 0
    assert (second.probability, second.true_probability) == pytest.approx((sure, 1 - sure))
    with pytest.raises(InputError, match="class 5"):
        predict(explainer, [values(1, 0)], [5])


def test_three_maps_and_the_removed_region(explainer):
    image = Image(np.zeros((20, 20, 3), np.uint8))
    [prediction] = predict(explainer, [values(1, 0.75)], [1])
    made = explain_error(explainer, image, values(1, 0.75), View((20, 20), (0, 0, 20, 20), (20, 20)), prediction)
    predicted, true, contrast = made
    assert [saliency_map.target for saliency_map in made] == ["left", "right", "left vs right"]
    np.testing.assert_allclose(contrast.values, predicted.values - true.values, atol=1e-6)
    assert predicted.facts["removal"]["becomes"] == "right"
    assert predicted.facts["removal"]["share"] == pytest.approx(51 / 400, abs=0.003)
    assert predicted.marks[0].region.sum() in (51, 52)
    made = explain_error(explainer, image, values(1, 0.75), made[0].view, prediction, removal=False)
    assert not made[0].marks
