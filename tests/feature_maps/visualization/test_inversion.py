"""Images rebuilt from features: recognizable at the first stage, less so from stage to stage."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import camviz
from camviz.errors import ModelError
from camviz.feature_maps.similarity import ssim
from camviz.feature_maps.visualization.inversion import Inversion, Inverter, choose_layers, reconstruct
from camviz.io.notebook import as_images
from camviz.models.preprocess import prepare
from camviz.types import Model, Preprocessing
from tests.helpers.inputs import scenes
from tests.helpers.modules import MODELS, SIZE, make

HOW = Preprocessing((SIZE, SIZE), SIZE)


@pytest.fixture(scope="module")
def demo():
    return camviz.load("demo")


# the goal


def test_the_first_stage_is_recognizable_and_later_ones_less_so(demo):
    layers = choose_layers(demo, [])
    assert [one.path for one in layers] == ["features.0", "features.1", "features.4"]
    inputs = [prepare(image, demo.preprocessing)[0] for image in as_images(scenes(3))]
    found = Inverter(demo, layers, Inversion(steps=72))(inputs)
    similarity = np.array([[layer.ssim for layer in one.layers] for one in found])
    assert similarity[:, 0].min() >= 0.6
    assert (np.diff(similarity.mean(0)) < 0).all(), similarity.mean(0)
    assert max(layer.error for one in found for layer in one.layers) < 0.2


@pytest.mark.slow
def test_twelve_scenes_with_the_default_steps(demo):
    layers = choose_layers(demo, [])
    inputs = [prepare(image, demo.preprocessing)[0] for image in as_images(scenes(12, seed=3))]
    found = Inverter(demo, layers, Inversion())(inputs)
    similarity = np.array([[layer.ssim for layer in one.layers] for one in found])
    assert similarity[:, 0].min() >= 0.6
    assert (np.diff(similarity.mean(0)) < 0).all(), similarity.mean(0)


def test_the_error_is_that_of_the_written_pixels(demo):
    [scene] = scenes(1)
    found = reconstruct(demo, scene, ["features.1"], steps=6)
    values = [prepare(as_images(one)[0], demo.preprocessing)[0] for one in (found.shown, found.layers[0].pixels)]
    with torch.no_grad():
        wanted, got = demo.module.features[:2](torch.from_numpy(np.stack(values)))
    expected = float((got - wanted).square().sum() / wanted.square().sum())
    assert found.layers[0].error == pytest.approx(expected, rel=1e-3)
    assert found.layers[0].ssim == pytest.approx(ssim(found.shown, found.layers[0].pixels))
    assert np.array_equal(found.shown, scene)


def test_total_variation_smooths(demo):
    [scene] = scenes(1)
    rough, smooth = (
        reconstruct(demo, scene, ["features.0"], steps=24, tv=tv).layers[0].pixels.astype(float) for tv in (0, 100)
    )
    assert np.square(np.diff(smooth, axis=1)).mean() < 0.7 * np.square(np.diff(rough, axis=1)).mean()


def test_the_seed_decides_and_the_company_does_not(demo):
    first, second = scenes(2)
    alone, again = (reconstruct(demo, second, ["features.0"], steps=4, seed=2) for _ in range(2))
    assert np.array_equal(alone.layers[0].pixels, again.layers[0].pixels)
    other = reconstruct(demo, second, ["features.0"], steps=4, seed=3)
    assert not np.array_equal(alone.layers[0].pixels, other.layers[0].pixels)
    inputs = [prepare(image, demo.preprocessing)[0] for image in as_images([first, second])]
    among = Inverter(demo, choose_layers(demo, ["features.1", "features.0"]), Inversion(4, seed=2))(inputs)[1]
    difference = among.layers[1].pixels.astype(int) - alone.layers[0].pixels
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_model_is_as_before(name, pixels):
    model = Model(name, make(name).train(), HOW)
    state = {key: value.clone() for key, value in model.module.state_dict().items()}
    found = reconstruct(model, pixels(SIZE, SIZE), ["*"], steps=2)
    assert all(math.isfinite(one.error) for one in found.layers)
    assert all(torch.equal(value, state[key]) for key, value in model.module.state_dict().items())
    assert all(part.training and not part._forward_hooks for part in model.module.modules())
    assert all(p.requires_grad and p.grad is None for p in model.module.parameters())


def test_the_model_is_as_before_after_an_error(pixels):
    module = make("plain")
    with torch.no_grad():
        module.features[3].bias[5] = math.nan
    model = Model("plain", module, HOW)
    with pytest.raises(ModelError, match=r"layer 'features\.3' of plain gives NaN"):
        reconstruct(model, pixels(SIZE, SIZE), ["features.0", "features.3"], steps=2)
    assert all(p.requires_grad for p in module.parameters())
    assert not any(part._forward_hooks for part in module.modules())


def test_a_gray_model(net, pixels):
    model = camviz.load(net(channels=1), input_size=(SIZE, SIZE))
    found = reconstruct(model, pixels(SIZE, SIZE), ["features.0"], steps=2)
    assert found.shown.shape == (SIZE, SIZE, 3)
    assert np.array_equal(found.shown[..., 0], found.shown[..., 2])


def test_a_silent_layer_divides_by_nothing(pixels):
    module = make("plain")
    with torch.no_grad():
        module.features[3].weight.zero_()
        module.features[3].bias.fill_(-1)
    found = reconstruct(Model("plain", module, HOW), pixels(SIZE, SIZE), ["features.4"], steps=2)
    assert found.layers[0].error == 0


def test_the_figure(demo):
    [scene] = scenes(1)
    found = reconstruct(demo, scene, ["features.0", "features.1"], steps=1)
    assert found.figure().pixels.shape[1] >= 3 * 256
    assert [one["layer"] for one in found.facts()["layers"]] == ["features.0", "features.1"]
