"""The masking family, against literal float64 transcriptions that know nothing of chunks or replay."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import camviz
from camviz.models.preprocess import prepare
from camviz.types import Image
from tests.helpers.inputs import model, random_images
from tests.helpers.modules import make
from tests.helpers.state import hook_count

LAYER = {"plain": "features.3", "residual": "block", "smooth": "act", "inplace": "features.3"}


def setting(name: str):
    """(model in float64, input (3, 32, 32) in float64, image, black)."""
    image = random_images(1)[0]
    how = model(name).preprocessing
    x = torch.from_numpy(prepare(Image(image), how)[0]).double()
    black = (-torch.tensor(how.mean) / torch.tensor(how.std)).double()[:, None, None]
    return make(name).double(), x, image, black


def activations(module, x: torch.Tensor, path: str) -> torch.Tensor:
    kept = []
    handle = module.get_submodule(path).register_forward_hook(lambda *a: kept.append(a[2].detach().clone()))
    module(x[None])
    handle.remove()
    return kept[0][0]


def masks_of(maps: torch.Tensor) -> list[torch.Tensor]:
    found = []
    for one in maps:
        wide = F.interpolate(one[None, None], size=(32, 32), mode="bilinear", align_corners=False)[0, 0]
        found.append((wide - wide.min()) / (wide.max() - wide.min()).clamp(min=1e-12))
    return found


@pytest.mark.parametrize("name", ["plain", "residual", "smooth"])
@pytest.mark.parametrize("kind", ["prob", "logit"])
def test_scorecam(name, kind):
    module, x, image, black = setting(name)
    maps = activations(module, x, LAYER[name])

    def score(one):
        logits = module(one[None])[0]
        return float((logits.softmax(0) if kind == "prob" else logits)[1].detach())

    raised = torch.tensor([score(black + mask * (x - black)) - score(black.expand_as(x)) for mask in masks_of(maps)])
    expected = (raised.softmax(0)[:, None, None] * maps).sum(0)
    [found] = camviz.explain(
        model(name), image, layer=LAYER[name], method="scorecam", target="1", settings={"score": kind}
    )
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-6)


def test_iscam_never_brightens():
    module, x, image, black = setting("plain")
    maps = activations(module, x, LAYER["plain"])
    raised = []
    for mask in masks_of(maps):
        scores = [module((black + i / 4 * mask * (x - black))[None])[0].softmax(0)[2] for i in (1, 2, 3, 4)]
        raised.append(float(sum(scores).detach() / 4))
    expected = (torch.tensor(raised).softmax(0)[:, None, None] * maps).sum(0)
    [found] = camviz.explain(
        model("plain"), image, layer=LAYER["plain"], method="iscam", target="2", settings={"samples": 4}
    )
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-6)


def test_sscam_without_noise_is_scorecam_and_noise_depends_on_the_seed_only():
    image = random_images(1)
    score, still = (
        camviz.explain(model("plain"), image, method=m, settings=s)[0].values
        for m, s in (("scorecam", {}), ("sscam", {"noise": 0.0, "samples": 3}))
    )
    np.testing.assert_allclose(still, score, rtol=1e-5)
    settings = {"noise": 1.0, "samples": 3}
    noisy = [
        camviz.explain(model("plain"), image, method="sscam", settings=settings, seed=seed, batch_size=size)[0].values
        for seed, size in ((0, 16), (0, 5), (1, 16))
    ]
    np.testing.assert_allclose(noisy[0], noisy[1], rtol=1e-4)  # the pieces do not matter
    assert np.abs(noisy[0] - noisy[2]).max() > 1e-6


@pytest.mark.parametrize("name", ["plain", "inplace", "residual", "smooth"])
def test_ablationcam_replays_the_tail_exactly(name):
    module, x, image, _ = setting(name)
    maps = activations(module, x, LAYER[name])
    full = float(module(x[None])[0, 3].detach())
    weights = []
    for channel in range(len(maps)):

        def silence(_module, _inputs, output, channel=channel):
            output = output.clone()
            output[:, channel] = 0
            return output

        handle = module.get_submodule(LAYER[name]).register_forward_hook(silence)
        weights.append(full - float(module(x[None])[0, 3].detach()))
        handle.remove()
    expected = (torch.tensor(weights)[:, None, None] * maps).sum(0)
    asked = model(name)
    [found] = camviz.explain(asked, image, layer=LAYER[name], method="ablationcam", target="3", batch_size=3)
    np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-5)
    assert found.facts["rescored"] == "tail"
    assert hook_count(asked.module) == 0
    assert all("forward" not in part.__dict__ for part in asked.module.modules())


def test_ablationcam_by_hand_when_the_score_is_negative():
    # S = -2·mean(A_0) + mean(A_1) with A_0 = 4, A_1 = 1 everywhere: S = -7. Without A_0 it is 1, without A_1 -8.
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = torch.nn.Conv2d(3, 2, 1)
            self.fc = torch.nn.Linear(2, 2)
            with torch.no_grad():
                self.maps.weight.zero_()
                self.maps.bias.copy_(torch.tensor([4.0, 1.0]))
                self.fc.weight.copy_(torch.tensor([[-2.0, 1.0], [0, 0]]))
                self.fc.bias.zero_()

        def forward(self, x):
            return self.fc(self.maps(x).mean((2, 3)))

    [found] = camviz.explain(Two(), random_images(1), layer="maps", method="ablationcam", target="0")
    np.testing.assert_allclose(found.values, -8 * 4 + 1 * 1)  # w_0 = -7 - 1 = -8, w_1 = -7 + 8 = 1


def test_a_module_that_runs_twice_is_not_replayed():
    class Shared(type(make("plain"))):
        def forward(self, x):
            x = self.features[2](self.features[1](self.features[0](x)))
            late = self.features[4](self.features[3](self.features[2](0.5 - x)))
            return self.fc(late.mean((2, 3))) + x.mean((1, 2, 3))[:, None]  # what the ReLU gave first is used last

    torch.manual_seed(0)
    shared, image = Shared().eval(), random_images(1)[0]
    asked = type(model("plain"))("shared", shared, model("plain").preprocessing)
    [found] = camviz.explain(asked, image, layer="features.3", method="ablationcam", target="1")
    assert found.facts["rescored"] == "tail"
    x = torch.from_numpy(prepare(Image(image), asked.preprocessing)[0])
    full = shared(x[None])[0, 1]
    maps, weights = activations(shared, x, "features.3"), []
    for channel in range(8):

        def silence(_module, _inputs, output, channel=channel):
            return output * (torch.arange(8) != channel)[None, :, None, None]

        handle = shared.features[3].register_forward_hook(silence)
        weights.append((full - shared(x[None])[0, 1]).item())
        handle.remove()
    np.testing.assert_allclose(found.values, (torch.tensor(weights)[:, None, None] * maps).sum(0), rtol=1e-3, atol=1e-5)


def test_where_replay_does_not_reproduce_the_output_the_whole_model_runs():
    class Noticing(type(make("plain"))):
        def forward(self, x):
            return super().forward(x) + float("forward" in self.features[1].__dict__)

    torch.manual_seed(0)
    odd = Noticing().eval()
    asked = model("plain")
    asked = type(asked)("odd", odd, asked.preprocessing)
    [found] = camviz.explain(asked, random_images(1), layer="features.3", method="ablationcam", target="1")
    assert found.facts["rescored"] == "whole model"
    [straight] = camviz.explain(model("plain"), random_images(1), layer="features.3", method="ablationcam", target="1")
    np.testing.assert_allclose(found.values, straight.values, atol=1e-5)


def test_occlusion_by_hand():
    # the score is the mean of the red channel of the normalized input: a black patch lowers it by its own share
    class Red(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.pass_on = torch.nn.Conv2d(3, 1, 1, bias=False)
            with torch.no_grad():
                self.pass_on.weight.copy_(torch.tensor([1.0, 0, 0])[None, :, None, None])

        def forward(self, x):
            mean = self.pass_on(x).mean((1, 2, 3))
            return torch.stack([mean, -mean], 1)

    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 0, 0] = 255
    asked = camviz.load(Red(), input_size=(4, 4), mean=(0, 0, 0), std=(1, 1, 1))
    [found] = camviz.explain(
        asked, image, layer="pass_on", method="occlusion", target="0", settings={"patch": 2, "stride": 2}
    )
    expected = np.zeros((4, 4))
    expected[:2, :2] = 1 / 16
    np.testing.assert_allclose(found.values, expected, atol=1e-7)
    assert found.layer == "input"


def test_occlusion_covers_every_pixel_whatever_the_stride():
    [found] = camviz.explain(model("plain"), random_images(1), method="occlusion", settings={"patch": 7, "stride": 6})
    assert found.values.shape == (32, 32)
    assert np.isfinite(found.values).all()


def test_rise_finds_the_pixels_that_matter_and_its_masks_do_not_depend_on_the_pieces():
    class Corner(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 1, 1)

        def forward(self, x):
            s = x[:, :, :16, :16].mean((1, 2, 3)) + 0 * self.conv(x).mean((1, 2, 3))
            return torch.stack([s, -s], 1)

    image = np.full((32, 32, 3), 255, np.uint8)
    asked = camviz.load(Corner(), input_size=(32, 32))
    a, b = (
        camviz.explain(asked, image, method="rise", target="0", layer="conv", settings={"samples": 400}, batch_size=s)[
            0
        ]
        for s in (16, 7)
    )
    np.testing.assert_allclose(a.values, b.values, atol=1e-5)
    assert a.values[:16, :16].mean() > 1.05 * a.values[16:, 16:].mean()


def test_rise_is_the_mean_of_masks_weighted_by_scores():
    # a constant score of 1: what remains is the mean mask over `keep`, which is 1 up to chance
    class Sure(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 1, 1)

        def forward(self, x):
            return torch.stack([torch.full((len(x),), 50.0), torch.zeros(len(x))], 1) + 0 * self.conv(x).mean((2, 3))

    asked = camviz.load(Sure(), input_size=(32, 32))
    [found] = camviz.explain(
        asked, random_images(1), method="rise", layer="conv", settings={"samples": 400, "keep": 0.25}
    )
    assert found.values.mean() == pytest.approx(1, abs=0.05)
