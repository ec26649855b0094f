"""Images that excite: the parts by hand, the raise over noise measured, the model untouched."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import camviz
from camviz.errors import CamvizError, ModelError, RequestError
from camviz.feature_maps.visualization.image_space import normalize
from camviz.feature_maps.visualization.maximize import maximize, maximize_classes
from camviz.io.notebook import as_images
from camviz.models.layers import find_layers
from camviz.types import Model, Preprocessing
from tests.helpers.modules import MODELS, SIZE, make

HOW = Preprocessing((SIZE, SIZE), SIZE)


@pytest.fixture(scope="module")
def demo():
    return camviz.load("demo")


# the goal


def test_activations_rise_tenfold_over_noise(demo):
    found = maximize(demo, "features.4", [0, 1, 8, 11], steps=64)
    assert all(found.noise > 0)
    assert all(times >= 10 for times in found.raises), found.raises
    assert found.pixels.shape == (4, 128, 128, 3)
    assert found.names == ("channel 0", "channel 1", "channel 8", "channel 11")


def test_noise_is_a_magnitude(demo):
    """Channel 0 of a layer with both signs is below zero for noise: the raise is counted by magnitude."""
    found = maximize(demo, "features.2", [0], steps=4)
    assert found.before[0] < 0 < found.noise[0]
    assert found.noise[0] >= -found.before[0] * (1 - 1e-5)
    assert found.raises[0] == pytest.approx(found.after[0] / found.noise[0])


def test_what_is_told_is_what_the_model_says_of_the_written_pixels(demo):
    found = maximize(demo, "features.2", [3], steps=4)
    inputs = normalize(torch.from_numpy(found.pixels).permute(0, 3, 1, 2) / 255, demo.preprocessing)
    with torch.no_grad():
        maps = demo.module.features[:3](inputs)
    assert found.after[0] == pytest.approx(float(maps[0, 3].mean()), rel=1e-4)


def test_a_class_is_raised_until_the_model_is_sure(demo):
    found = maximize_classes(demo, ["star", "ring"], steps=32)
    assert found.names == ("star", "ring")
    assert all(found.probabilities > 0.95)
    assert all(found.after > found.before + 5)
    assert found.layer == ""


def test_the_center_of_a_map(demo):
    mean, unit = (maximize(demo, "features.3", [3], steps=24, size=64, unit=unit) for unit in (False, True))
    assert unit.after[0] > mean.after[0]
    outside = np.abs(np.diff(unit.pixels[0].astype(float), axis=1))
    assert outside[24:40, 24:40].mean() > outside[:, :8].mean()  # what is far from the center stays gray


def test_the_seed_decides_and_the_company_does_not(demo):
    alone, again = (maximize(demo, "features.1", [5], steps=6, size=64, seed=3) for _ in range(2))
    assert np.array_equal(alone.pixels, again.pixels)
    other = maximize(demo, "features.1", [5], steps=6, size=64, seed=4)
    assert not np.array_equal(alone.pixels, other.pixels)
    for size in (1, 2, 8):
        among = maximize(demo, "features.1", [2, 9, 5], steps=6, size=64, seed=3, batch_size=size)
        difference = np.abs(among.pixels[2].astype(int) - alone.pixels[0].astype(int))
        assert difference.max() <= 1


def test_from_a_image_it_starts_with_the_image(demo):
    [start] = as_images(np.full((128, 128, 3), (200, 60, 60), np.uint8))
    found = maximize(demo, "features.2", [3], steps=1, start=start)
    assert np.abs(found.pixels[0].astype(int) - (200, 60, 60)).mean() < 12
    assert found.before[0] != found.noise[0]
    top = maximize_classes(demo, ["top1"], steps=1, start=start)
    assert len(top.names) == 1


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_model_is_as_before(name):
    model = Model(name, make(name).train(), HOW)
    state = {key: value.clone() for key, value in model.module.state_dict().items()}
    [layer] = find_layers(model, [])
    maximize(model, layer.path, [0], steps=2)
    with pytest.raises(CamvizError):
        maximize(model, layer.path, [0], steps=2, precision="fp8")
    assert all(torch.equal(value, state[key]) for key, value in model.module.state_dict().items())
    assert all(part.training and not part._forward_hooks for part in model.module.modules())
    assert all(p.requires_grad and p.grad is None for p in model.module.parameters())


# refusals


def test_refusals(demo):
    with pytest.raises(CamvizError, match=r"no channel '192' in layer 'features\.4'"):
        maximize(demo, "features.4", [0, 192])
    with pytest.raises(RequestError, match=r"'features.\[01\]' matches 2 layers"):
        maximize(demo, "features.[01]", [0])
    with pytest.raises(ModelError, match="no grid") as error:
        maximize(demo, "classifier.1", [0])
    assert "--layer features" in error.value.hint
    with pytest.raises(RequestError, match="'top1'"):
        maximize_classes(demo, ["top1"])
    with pytest.raises(RequestError, match="nothing to maximize"):
        maximize(demo, "features.4", [])


def test_a_size_the_model_does_not_take():
    model = Model("vit", make("vit"), HOW)
    with pytest.raises(ModelError, match="vit does not accept") as error:
        maximize(model, "encoder", [0], size=40)
    assert error.value.hint == f"--size {SIZE}"


def test_nan_is_named():
    module = make("plain")
    with torch.no_grad():
        module.features[3].bias[5] = math.nan
    model = Model("plain", module, HOW)
    with pytest.raises(ModelError, match=r"layer 'features.3' \(channel 5\) of plain gives NaN") as error:
        maximize(model, "features.3", [1, 5], steps=2)
    assert "camviz layers plain" in error.value.hint
    maximize(model, "features.3", [1], steps=2)


def test_the_figure_says_what_was_raised(demo):
    found = maximize(demo, "features.4", [0, 1, 8], steps=2, size=64)
    assert found.figure().pixels.shape[1] > 3 * 224
    facts = found.facts()
    assert [one["name"] for one in facts["images"]] == list(found.names)
    assert facts["layer"] == "features.4"
