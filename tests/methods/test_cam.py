"""The CAM family, computed by hand: one image, two channels of 2×2.

A_0 = 1 2   A_1 = 4 0    G_0 = 1 0   G_1 = -1 -1
      3 4         0 0          0 3         1  3
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import camviz
from camviz.methods import METHODS
from camviz.types import Target
from tests.helpers.inputs import model, random_images

A = torch.tensor([[[[1.0, 2], [3, 4]], [[4, 0], [0, 0]]]])
G = torch.tensor([[[[1.0, 0], [0, 3]], [[-1, -1], [1, 3]]]])


def probe(**more):
    return SimpleNamespace(
        activations=A, gradients=G, targets=[None], facts=[{}], inputs=torch.zeros(1, 3, 4, 4), **more
    )


def run(name, given=None, **settings):
    found = METHODS.find(name).call(given or probe(), **settings)
    return (found.sum(1) if found.ndim == 4 else found)[0]


def test_gradcam():
    # mean G_0 = 4/4 = 1, mean G_1 = 2/4 = ½: 1·A_0 + ½·A_1
    assert run("gradcam").tolist() == [[3, 2], [3, 4]]


def test_hirescam():
    assert run("hirescam").tolist() == [[1 - 4, 0], [0, 12]]


def test_gradcam_elementwise():
    assert run("gradcam-elementwise").tolist() == [[1, 0], [0, 12]]


def test_layercam():
    # relu(G_1) at the place where A_1 is 4 is 0
    assert run("layercam").tolist() == [[1, 0], [0, 12]]


def test_xgradcam():
    # w_0 = (1·1 + 4·3) / 10 = 1.3, w_1 = -4 / 4 = -1
    expected = [[1.3 - 4, 2.6], [3.9, 5.2]]
    np.testing.assert_allclose(run("xgradcam"), expected, rtol=1e-6)


def test_xgradcam_of_a_silent_channel_is_zero():
    silent = probe()
    silent.activations = torch.zeros_like(A)
    assert run("xgradcam", silent).tolist() == [[0, 0], [0, 0]]


def test_gradcam_plus_plus_with_its_denominator():
    # channel 0: ΣA = 10. g = 1: α = 1 / (2 + 10) = 1/12. g = 3: α = 9 / (18 + 270) = 1/32. g = 0: denominator 0, α = 0
    # channel 1: ΣA = 4. g = 1: α = 1 / (2 + 4) = 1/6. g = 3: α = 9 / (18 + 108) = 1/14. g = -1: relu(g) = 0
    w0, w1 = 1 / 12 + 3 / 32, 1 / 6 + 3 / 14
    expected = [[w0 + 4 * w1, 2 * w0], [3 * w0, 4 * w0]]
    np.testing.assert_allclose(run("gradcam++"), expected, rtol=1e-6)


def test_gradcam_plus_plus_where_the_denominator_vanishes():
    # 2g² + ΣA·g³ = 0 for g = -2/ΣA: α is 0 there, not infinite
    odd = probe()
    odd.activations, odd.gradients = torch.full((1, 1, 1, 2), 0.5), torch.tensor([[[[-2.0, 1.0]]]])
    np.testing.assert_allclose(run("gradcam++", odd), [[0.5 / 3, 0.5 / 3]], rtol=1e-6)


def test_smoothgradcam_plus_plus_averages_powers_of_the_gradient():
    # two noisy runs whose gradients are G and -G: G and G³ average to 0, G² stays; so α·relu(0) = 0
    signs = iter([1.0, -1.0])
    both = probe(
        noisy=lambda samples, noise: range(samples), again=lambda _: SimpleNamespace(gradients=next(signs) * G)
    )
    assert run("smoothgradcam++", both, samples=2).tolist() == [[0, 0], [0, 0]]
    same = probe(noisy=lambda samples, noise: range(samples), again=lambda _: SimpleNamespace(gradients=G))
    np.testing.assert_allclose(run("smoothgradcam++", same, samples=3), run("gradcam++"), rtol=1e-5)


def test_cam():
    head = (torch.tensor([[2.0, -1.0]]), A)
    assert run("cam", probe(linear_head=head)).tolist() == [[2 - 4, 4], [6, 8]]


def test_shapleycam():
    # H·A = 2 everywhere: w = mean(G - 1) = 0 and -½
    assert run("shapleycam", probe(hessian_product=torch.full_like(A, 2.0))).tolist() == [[-2, 0], [0, 0]]


def test_hessian_product_of_a_known_function():
    """S = Σ a³/6 has H = diag(a), so H·a = a²: the model cubes what a 1×1 convolution passes on."""

    class Cube(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 2, 1)

        def forward(self, x):
            s = (self.conv(x) ** 3).sum((1, 2, 3)) / 6
            return torch.stack([s, -s], 1)

    from camviz.types import Model, Preprocessing

    torch.manual_seed(0)
    module = Cube()
    asked = Model("cube", module, Preprocessing(crop=(4, 4), resize=4))
    image = random_images(1, size=(4, 4))
    shapley, hires = camviz.explain(asked, image, layer="conv", method=["shapleycam", "hirescam"], target="0")
    x = torch.from_numpy(camviz.models.preprocess.prepare(camviz.Image(image[0]), asked.preprocessing)[0])[None]
    a = module.conv(x).detach()
    weights = (a**2 / 2 - a**2 / 2).mean((2, 3), keepdim=True)  # G = a²/2 and ½ H·a = a²/2: they cancel
    np.testing.assert_allclose(shapley.values, (weights * a).sum(1)[0], atol=1e-5)
    np.testing.assert_allclose(hires.values, (a**3 / 2).sum(1)[0], rtol=1e-4)


def test_finercam_takes_the_closest_classes():
    # logits 5, 4, 1, 4.5: closest to class 0 are 3 and 1. S = 5 - 0.6·(4.5 + 4) / 2
    logits = torch.tensor([[5.0, 4, 1, 4.5]], requires_grad=True)
    seen = []

    def gradients_of(scores):
        (share,) = torch.autograd.grad(scores, logits)
        seen.append((scores.tolist(), share[0].tolist()))
        return G

    target = Target("0", lambda v: v[..., 0], index=0)
    given = probe(logits=logits, gradients_of=gradients_of)
    given.targets = [target]
    assert run("finercam", given, references="2").tolist() == [[3, 2], [3, 4]]
    assert seen[0][0] == pytest.approx([5 - 0.6 * 8.5 / 2])
    assert seen[0][1] == pytest.approx([1, -0.3, 0, -0.3])
    run("finercam", given, references="2+1", gamma=1.0)
    assert seen[1][1] == pytest.approx([1, -0.5, -0.5, 0])


@pytest.mark.parametrize("text", ["zero", "0", "9+1", "+"])
def test_finercam_refuses_references_that_are_none(text):
    with pytest.raises(camviz.CamvizError, match=r"finercam\.references"):
        camviz.explain(model("plain"), random_images(1), method="finercam", settings={"references": text})


def test_refinecam_multiplies_scaled_maps_of_all_stages():
    coarse = SimpleNamespace(activations=torch.ones(1, 1, 1, 1), gradients=torch.full((1, 1, 1, 1), 4.0))
    given = probe()
    given.stages = [SimpleNamespace(activations=A, gradients=G), coarse]
    # Grad-CAM of the fine stage is [[3, 2], [3, 4]]: over its maximum 4, times 1 everywhere
    assert run("refinecam", given).tolist() == [[0.75, 0.5], [0.75, 1.0]]


def test_refinecam_uses_the_resolutions_before_the_layer():
    [found] = camviz.explain(model("plain"), random_images(1), method="refinecam")
    assert found.values.shape == (16, 16)
    assert found.values.max() <= 1
    assert found.layer == "features.4"


def test_random_depends_on_the_seed_and_the_image_only():
    a, b = (m.values for m in camviz.explain(model("plain"), random_images(2), method="random"))
    [alone] = camviz.explain(model("plain"), random_images(2)[1], method="random")
    [other] = camviz.explain(model("plain"), random_images(2)[1], method="random", seed=1)
    assert np.array_equal(alone.values, b)
    assert not np.array_equal(a, b)
    assert not np.array_equal(other.values, b)
    assert b.min() >= 0
    assert b.max() <= 1


class Pooled(torch.nn.Module):
    """A classifier with a 1×1 convolution after the pooling, as in MobileNetV1."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 6, 3, padding=1)
        self.act = torch.nn.ReLU()
        self.head = torch.nn.Conv2d(6, 4, 1)

    def forward(self, x):
        return self.head(self.act(self.conv(x)).mean((2, 3), keepdim=True)).flatten(1)


def test_cam_takes_a_convolution_after_pooling():
    """On such a head Grad-CAM is CAM / (h·w)."""
    asked = camviz.load(Pooled(), input_size=(16, 16), mean=(0.0,) * 3, std=(1.0,) * 3)
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    cam, gradcam = camviz.explain(asked, image, method=["cam", "gradcam"], target="2", layer="act")
    np.testing.assert_allclose(cam.values, 256 * gradcam.values, rtol=1e-4, atol=1e-6)


class Normed(torch.nn.Module):
    """A layer that feeds a LayerNorm over channels: its gradient is orthogonal to its activations."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 16, 4, 4)
        self.norm = torch.nn.LayerNorm(16, eps=0)
        self.head = torch.nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.norm(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2)))


def test_hirescam_before_a_layer_norm_says_that_it_is_rounding_noise():
    asked = camviz.load(Normed(), input_size=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    [before] = camviz.explain(asked, image, method="hirescam", target="1", layer="conv")
    assert "rounding noise" in before.facts["note"]
    [after] = camviz.explain(asked, image, method="hirescam", target="1", layer="norm")
    assert "rounding" not in after.facts.get("note", "")


def test_finercam_takes_references_by_name():
    asked = replace(model("plain"), labels=("a", "b", "c", "d"))
    named, numbered = (
        camviz.explain(asked, random_images(1), method="finercam", target="a", settings={"references": text})[0]
        for text in ("b+d", "1+3")
    )
    np.testing.assert_array_equal(named.values, numbered.values)
