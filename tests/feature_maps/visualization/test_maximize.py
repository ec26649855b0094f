"""Images that excite: the parts by hand, the raise over noise measured, the model untouched."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import camviz
from camviz.errors import CamvizError, ModelError, RequestError
from camviz.feature_maps.early_exit import Reader
from camviz.feature_maps.visualization.augment import Moves, affine, view
from camviz.feature_maps.visualization.fourier import Spectrum, color_basis, falloff, radii, total_variation
from camviz.feature_maps.visualization.image_space import as_written, imaged, normalize, to_pixels
from camviz.feature_maps.visualization.maximize import maximize, maximize_classes
from camviz.feature_maps.visualization.optimize import descend
from camviz.io.images import as_images
from camviz.models.layers import find_layers
from camviz.models.survey import survey
from camviz.types import Model, Preprocessing
from tests.helpers.modules import MODELS, SIZE, make

HOW = Preprocessing((SIZE, SIZE), SIZE)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def demo():
    return camviz.load("demo")


# the spectrum


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 9), (6, 10), (1, 4)])
def test_an_image_comes_back_from_its_spectrum(height, width):
    images = 0.05 + 0.9 * torch.rand(2, 3, height, width, generator=seeded())
    spectrum = Spectrum.of(3, height, width)
    torch.testing.assert_close(spectrum.paint(spectrum.analyze(images)), images, atol=1e-4, rtol=0)


def test_black_and_white_stay_near_black_and_white():
    ends = torch.tensor([0.0, 1.0]).repeat(8)[None, None, None].expand(1, 3, 16, 16)
    spectrum = Spectrum.of(3, 16, 16)
    assert (spectrum.paint(spectrum.analyze(ends)) - ends).abs().max() < 0.03


def test_frequencies_by_hand():
    half = math.sqrt(0.5)
    expected = [[0, 0.25, 0.5], [0.25, half / 2, math.sqrt(0.3125)], [0.5, math.sqrt(0.3125), half]]
    torch.testing.assert_close(radii(4, 4)[:3], torch.tensor(expected))


def test_the_scale_falls_as_one_over_f_and_the_mean_counts_as_the_slowest_wave():
    scale = falloff(16, 16)
    assert scale[0, 0] == scale[0, 1]
    assert float(scale[0, 1] / scale[0, 4]) == pytest.approx(4)


@pytest.mark.parametrize("width", [16, 15])
def test_noise_has_about_unit_variance_before_the_colors(width):
    spectrum = Spectrum(falloff(16, width), torch.eye(1), width)
    drawn = spectrum.paint(spectrum.noise(800, seeded())).logit()
    assert float(drawn.var()) == pytest.approx(1, abs=0.2)


def test_the_colors_are_light_red_against_blue_and_green_against_both():
    directions = color_basis(3) / color_basis(3).norm(dim=0)
    expected = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / torch.tensor([3, 2, 6]).sqrt()[:, None]
    torch.testing.assert_close(directions.T, expected, atol=1e-6, rtol=0)
    lengths = color_basis(3).norm(dim=0)
    torch.testing.assert_close(lengths / lengths[0], torch.tensor([1, 0.5, 0.25]))
    torch.testing.assert_close(color_basis(3) @ torch.linalg.inv(color_basis(3)), torch.eye(3), atol=1e-6, rtol=0)
    assert color_basis(1).tolist() == [[1]]


def test_total_variation_by_hand():
    assert total_variation(torch.tensor([[[[0.0, 1], [1, 3]]]])).tolist() == [2.5]
    assert total_variation(torch.full((2, 3, 4, 4), 0.7)).tolist() == [0, 0]


# the moves


@pytest.mark.parametrize("shape", [(6, 6), (4, 8)])
def test_no_move_shows_the_image_itself(shape):
    images = torch.rand(2, 3, *shape, generator=seeded())
    torch.testing.assert_close(view(images, affine()), images, atol=1e-6, rtol=0)


def test_moves_by_hand():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    one_right = view(image, affine(across=0.5))  # half of half the side: one pixel of four
    torch.testing.assert_close(one_right[..., :3], image[..., 1:])
    quarter = view(image, affine(turn=90))
    torch.testing.assert_close(quarter, torch.rot90(image, 1, (2, 3)), atol=1e-4, rtol=0)


def test_a_turn_keeps_angles_in_wide_images():
    wide = torch.zeros(1, 1, 16, 32)
    wide[..., 15:17] = 1  # an upright bar of two pixels
    turned = view(wide, affine(turn=90))[0, 0]
    assert turned[7:9, 10:22].min() > 0.99  # lies flat
    assert turned[:6].abs().max() < 0.01


def test_a_share_of_the_moves():
    moves = Moves(jitter=0.1, zoom=2.0, turn=0.0)
    whole, tenth = moves.draw(seeded(1)), moves.draw(seeded(1), 0.1)
    torch.testing.assert_close(tenth[:, 2], 0.1 * whole[:, 2])
    torch.testing.assert_close(tenth[0, 0], whole[0, 0] ** 0.1)
    torch.testing.assert_close(moves.draw(seeded(1), 0.0), affine())


def test_waves_below_a_cut():
    spectrum = Spectrum.of(3, 16, 16)
    kept = spectrum.below(0.25, torch.ones(1, *spectrum.shape))[0, 0, :, :, 0]
    assert kept[0, 4] == 0.5  # at 4 / 16 cycles per pixel
    assert kept[0, 0] > 0.999
    assert kept[0, 8] < 0.001
    assert torch.equal(kept[4, 0], kept[0, 4])


def test_moves_follow_the_seed():
    moves = Moves()
    assert torch.equal(moves.draw(seeded(1)), moves.draw(seeded(1)))
    assert not torch.equal(moves.draw(seeded(1)), moves.draw(seeded(2)))


# the descent


def test_every_image_goes_at_its_own_pace():
    start = torch.tensor([[4.0, 0], [4, 0]])
    weights = torch.tensor([1.0, 1e6])

    def loss(z):
        return weights * (z - torch.tensor([[1.0, 2], [1, 2]])).square().sum(1)

    done = descend(start, loss, 300, settle=True)
    torch.testing.assert_close(done[0], done[1], atol=1e-3, rtol=0)
    torch.testing.assert_close(done[0], torch.tensor([1.0, 2]), atol=0.02, rtol=0)
    assert start.tolist() == [[4, 0], [4, 0]]


def test_a_flat_loss_moves_nothing_and_tells_its_progress():
    heard = []
    done = descend(torch.ones(1, 3), lambda z: 0 * z.sum(1), 3, tick=lambda *now: heard.append(now))
    assert done.tolist() == [[1, 1, 1]]
    assert heard == [(1, 3), (2, 3), (3, 3)]


# reading a layer


@pytest.mark.parametrize("name", sorted(MODELS))
def test_stopping_at_a_layer_gives_what_the_whole_forward_gives(name):
    model = Model(name, make(name), HOW)
    seen = survey(model.module, HOW.crop)
    inputs = torch.randn(2, 3, SIZE, SIZE, generator=seeded())
    for layer in find_layers(model, ["*"], seen):
        kept = {}
        handle = model.module.get_submodule(layer.path).register_forward_hook(
            lambda _m, _i, output, kept=kept: kept.update(output=output.detach().clone())
        )
        with torch.no_grad():
            model.module(inputs)
            handle.remove()
            assert torch.equal(Reader.at(model, layer, seen).output(inputs), kept["output"])


def test_nothing_behind_the_layer_runs():
    model = Model("residual", make("residual"), HOW)
    seen = survey(model.module, HOW.crop)
    ran = []
    for path, part in model.module.named_children():
        part.register_forward_hook(lambda *_, path=path: ran.append(path))
    [layer] = find_layers(model, ["stem"], seen)
    Reader.at(model, layer, seen).output(torch.zeros(1, 3, SIZE, SIZE))
    assert ran == ["stem"]


class Twice(nn.Module):
    """One convolution run twice, in a forward that swallows every exception."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 2)

    def forward(self, x):
        try:
            return self.fc(self.conv(self.conv(x)).mean((2, 3)))
        except Exception:
            return x


def test_a_layer_that_runs_twice_is_read_the_last_time():
    model = Model("twice", Twice().eval(), HOW)
    seen = survey(model.module, HOW.crop)
    [layer] = find_layers(model, ["conv"], seen)
    inputs = torch.randn(1, 3, SIZE, SIZE, generator=seeded())
    with torch.no_grad():
        expected = model.module.conv(model.module.conv(inputs))
        assert torch.equal(Reader.at(model, layer, seen).output(inputs), expected)


def test_the_gradient_reaches_the_input():
    model = Model("plain", make("inplace"), HOW)
    seen = survey(model.module, HOW.crop)
    [layer] = find_layers(model, ["features.1"], seen)
    inputs = torch.randn(1, 3, SIZE, SIZE, generator=seeded()).requires_grad_()
    [found] = torch.autograd.grad(Reader.at(model, layer, seen).maps(inputs).sum(), inputs)
    [expected] = torch.autograd.grad(model.module.features[1](model.module.features[0](inputs)).sum(), inputs)
    torch.testing.assert_close(found, expected)


def test_pixels_and_inputs():
    images = torch.tensor([0, 1, 127, 255]).view(1, 1, 2, 2).expand(1, 3, 2, 2) / 255
    torch.testing.assert_close(imaged(normalize(images, HOW), HOW), images)
    assert to_pixels(images[:, :1])[0, 1, 0].tolist() == [127] * 3
    assert as_written(torch.tensor([[-1.0, 0.5004, 2]])).tolist() == [[0, pytest.approx(128 / 255), 1]]


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
    assert "'features'" in error.value.hint
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
    assert found.figure().shape[1] > 3 * 224
    facts = found.facts()
    assert [one["name"] for one in facts["images"]] == list(found.names)
    assert facts["layer"] == "features.4"
