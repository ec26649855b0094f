"""Three rules for the gradient of a ReLU."""

import numpy as np
import pytest
from torch import nn

import camviz
from tests.helpers.inputs import model, random_images
from tests.helpers.modules import make
from tests.helpers.one_pixel import gradients


@pytest.mark.parametrize("kinds", [{"functional": False}, {"functional": False, "inplace": True}, {"functional": True}])
def test_three_rules_for_relu_by_hand(kinds):
    # a = b = 1: dS/da = -1, dS/db = 2, everything passes forwards
    assert gradients(1, 1, "gradient", **kinds) == [-1, 2]
    assert gradients(1, 1, "guided-backprop", **kinds) == [0, 2]
    assert gradients(1, 1, "deconvnet", **kinds) == [0, 2]
    # a = 1, b = -1: the last ReLU blocks (-1 < 0), and so does b's own
    assert gradients(1, -1, "gradient", **kinds) == [0, 0]
    assert gradients(1, -1, "guided-backprop", **kinds) == [0, 0]
    assert gradients(1, -1, "deconvnet", **kinds) == [0, 2]  # deconvnet does not ask what went forward


def test_relu6_is_met_as_well():
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    [found] = camviz.explain(
        camviz.load(module, input_size=(8, 8)), random_images(1), layer="0", method="guided-backprop"
    )
    assert np.isfinite(found.values).all()

    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = module

        def forward(self, x):
            return self.layers[2:](nn.functional.relu6(self.layers[0](x)))

    [other] = camviz.explain(
        camviz.load(Functional(), input_size=(8, 8)), random_images(1), layer="layers.0", method="guided-backprop"
    )
    np.testing.assert_allclose(other.values, found.values, rtol=1e-5)


def test_the_rules_leave_the_model_alone():
    module = make("inplace")
    kinds = [(type(m), getattr(m, "inplace", None)) for m in module.modules()]
    asked = model("inplace")
    before = camviz.explain(asked, random_images(1), method="gradient")[0].values
    camviz.explain(asked, random_images(1), method="guided-backprop")
    assert [(type(m), getattr(m, "inplace", None)) for m in asked.module.modules()] == kinds
    np.testing.assert_array_equal(camviz.explain(asked, random_images(1), method="gradient")[0].values, before)
