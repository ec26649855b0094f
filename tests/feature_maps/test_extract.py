"""Feature maps are what the layers compute."""

import numpy as np
import pytest

import camviz
from camviz.types import Image
from tests.helpers.inputs import model, random_images


def test_values_are_what_the_layer_gives():
    import torch

    from camviz.models.preprocess import prepare

    asked, image = model("inplace"), random_images(1)[0]
    x = torch.from_numpy(prepare(Image(image), asked.preprocessing)[0])[None]
    with torch.no_grad():
        expected = asked.module.features[:4](x)[0]
    found = camviz.features(asked, image, layer="features.3")  # an in-place ReLU follows
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    assert found.contributions is None


def test_contribution_is_mean_gradient_times_mean_activation():
    # GAP and one linear layer: mean gradient W/64, so the contribution is W·mean(A)/64
    asked = model("plain")
    found = camviz.features(asked, random_images(1)[0], layer="features.4", target="2")
    weights = asked.module.fc.weight[2].detach().numpy()
    np.testing.assert_allclose(found.contributions, weights / 64 * found.values.mean((1, 2)), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", ["vit", "channels-last", "residual"])
def test_any_layout_gives_channels_first(name):
    found = camviz.features(model(name), random_images(1)[0])
    assert found.values.shape[1] == found.values.shape[2]
    assert found.values.shape[0] in (6, 8, 12)


def test_a_model_that_is_no_classifier_has_features_too():
    from torch import nn

    asked = camviz.load(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1)), input_size=(16, 16))
    assert camviz.features(asked, random_images(1)[0], layer="0").values.shape == (4, 16, 16)
