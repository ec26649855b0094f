"""The pixel family: identities, and models small enough to differentiate by hand."""

import numpy as np
import pytest
import torch
from torch import nn

import camviz
from camviz.methods.pixels import reduced
from camviz.models.preprocess import prepare
from camviz.types import Image
from tests.helpers.inputs import model, random_images
from tests.helpers.modules import make


def test_a_model_without_relu_says_so_and_names_what_works():
    for method in ("guided-backprop", "deconvnet", "guided-gradcam"):
        with pytest.raises(camviz.CamvizError, match="smooth has no ReLU") as caught:
            camviz.explain(model("smooth"), random_images(1), method=method)
        assert "smoothgrad" in caught.value.hint


def double(name):
    asked = model(name)
    x = torch.from_numpy(prepare(Image(random_images(1)[0]), asked.preprocessing)[0]).double()[None]
    return make(name).double(), x


def gradient_of(module, x, index):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(module(x)[0, index], x)[0]


@pytest.mark.parametrize("name", ["plain", "residual", "smooth", "vit"])
def test_gradient_and_its_product_against_float64(name):
    module, x = double(name)
    grad = gradient_of(module, x, 2)
    plain, product = camviz.explain(model(name), random_images(1), method=["gradient", "gradient-x-input"], target="2")
    np.testing.assert_allclose(plain.values, grad.abs().amax(1)[0], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(product.values, (grad * x).sum(1)[0], rtol=1e-3, atol=1e-6)


def test_reductions():
    values = torch.tensor([3.0, -4.0, 0.0])[None, :, None, None]
    assert reduced(values, "max").item() == 4
    assert reduced(values, "sum").item() == -1
    assert reduced(values, "norm").item() == 5
    with pytest.raises(camviz.CamvizError, match="no reduce 'mean'"):
        reduced(values, "mean")


def test_smoothgrad_and_vargrad_of_a_linear_model():
    # a linear score has the same gradient everywhere: SmoothGrad is that gradient, VarGrad is zero
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(2 * 16, 3))
    asked = camviz.load(module, input_size=(4, 4))
    smooth, var, plain = camviz.explain(
        asked, random_images(1), layer="0", method=["smoothgrad", "vargrad", "gradient"]
    )
    np.testing.assert_allclose(smooth.values, plain.values, rtol=1e-5)
    np.testing.assert_allclose(var.values, 0, atol=1e-10)


def test_vargrad_is_the_variance_over_the_noisy_inputs():
    from types import SimpleNamespace

    from camviz.methods import METHODS

    grads = iter([torch.full((1, 1, 1, 1), v) for v in (1.0, 5.0, 6.0)])  # mean 4, variance (9 + 1 + 4) / 3
    probe = SimpleNamespace(
        inputs=torch.zeros(1, 1, 1, 1), noisy=lambda s, n: range(s), input_gradients=lambda _: next(grads)
    )
    assert METHODS.find("vargrad").call(probe, samples=3).item() == pytest.approx(14 / 3)


def test_noise_is_a_share_of_the_range_and_depends_on_the_image_only():
    from camviz.engine.explain import Explainer
    from camviz.engine.forward import run_forward
    from camviz.engine.probe import Probe, Reading
    from camviz.types import Request

    explainer = Explainer(model("plain"), Request())
    batch = torch.stack([torch.rand(3, 32, 32), 10 * torch.rand(3, 32, 32)])

    def noise(inputs):
        probe = Probe(Reading(run_forward(explainer.ask, inputs), [None] * len(inputs)), explainer.layers[0])
        return torch.stack([n - inputs for n in probe.noisy(20, 0.1)], 1)  # (n, samples, …)

    both = noise(batch)
    assert both[0].std().item() == pytest.approx(0.1, rel=0.05)
    assert both[1].std().item() == pytest.approx(1.0, rel=0.05)
    torch.testing.assert_close(noise(batch[1:])[0], both[1], atol=1e-5, rtol=1e-5)


# not ViT from a constant image: its layer norms make the path too steep for any number of steps
@pytest.mark.parametrize("name", ["plain", "smooth"])
@pytest.mark.parametrize("baseline", ["black", "mean", "white"])
def test_integrated_gradients_are_complete(name, baseline):
    asked = model(name)
    [found] = camviz.explain(
        asked, random_images(1), method="integrated-gradients", target="1", settings={"baseline": baseline, "steps": 64}
    )
    module, x = double(name)
    levels = {"black": 0.0, "white": 1.0}
    how = asked.preprocessing
    mean, std = (torch.tensor(v).double()[None, :, None, None] for v in (how.mean, how.std))
    start = torch.zeros_like(x) if baseline == "mean" else ((levels[baseline] - mean) / std).expand_as(x)
    rise = float((module(x) - module(start))[0, 1].detach())
    assert found.values.sum() == pytest.approx(rise, rel=0.05, abs=5e-4)
    assert found.facts["completeness_gap"] == pytest.approx(abs(found.values.sum() - rise) / abs(rise), abs=5e-3)


def test_integrated_gradients_of_a_square_by_hand():
    # S = Σ x²: the path integral is x² exactly, already with two Gauss-Legendre nodes
    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 1)

        def forward(self, x):
            s = (x**2).sum((1, 2, 3)) + 0 * self.conv(x).sum((1, 2, 3))
            return torch.stack([s, -s], 1)

    asked = camviz.load(Square(), input_size=(4, 4))
    settings = {"steps": 2, "baseline": "mean"}
    [found] = camviz.explain(
        asked, random_images(1, size=(4, 4)), layer="conv", method="integrated-gradients", target="0", settings=settings
    )
    x = prepare(Image(random_images(1, size=(4, 4))[0]), asked.preprocessing)[0]
    np.testing.assert_allclose(found.values, (x.astype(np.float64) ** 2).sum(0), rtol=1e-5)
    assert found.facts["completeness_gap"] < 1e-5


def test_guided_gradcam_is_the_product():
    guided, cam, both = camviz.explain(
        model("plain"), random_images(1), method=["guided-backprop", "gradcam", "guided-gradcam"], target="0"
    )
    by_name = {m.method: m for m in (guided, cam, both)}
    wide = nn.functional.interpolate(
        torch.from_numpy(by_name["gradcam"].values)[None, None].clamp(min=0), size=(32, 32), mode="bilinear"
    )[0, 0]
    np.testing.assert_allclose(
        by_name["guided-gradcam"].values, wide.numpy() * by_name["guided-backprop"].values, rtol=1e-4, atol=1e-9
    )


def test_fullgrad_adds_up_to_the_score():
    """For a model of ReLUs: S = Σ x⊙dS/dx + Σ b⊙dS/db, the linear layer's own bias included (eq. 3)."""
    from camviz.engine.explain import Explainer
    from camviz.engine.forward import run_forward
    from camviz.engine.probe import Probe, Reading
    from camviz.tasks.classification import choose, parse_targets
    from camviz.types import Request

    asked = model("inplace")
    with torch.no_grad():  # a batch normalization that does something
        asked.module.features[1].running_mean.uniform_(-1, 1)
        asked.module.features[1].running_var.uniform_(0.5, 2)
        asked.module.features[1].bias.uniform_(-1, 1)
    explainer = Explainer(asked, Request())
    x = torch.randn(2, 3, 32, 32)
    passed = run_forward(explainer.ask, x)
    targets = [choose(parse_targets(["1"], (), "plain")[0], row, ()) for row in passed.rows]
    probe = Probe(Reading(passed, targets), explainer.layers[0])
    at_input, at_biases = probe.bias_gradients()
    assert len(at_biases) == 3
    total = (at_input * x).sum((1, 2, 3)) + sum(values.sum((1, 2, 3)) for values in at_biases)
    torch.testing.assert_close(total + asked.module.fc.bias[1].detach(), probe.scores, rtol=1e-4, atol=1e-5)


def test_fullgrad_scales_a_layer_once_not_each_channel():
    from types import SimpleNamespace

    from camviz.methods import METHODS

    at_input = torch.zeros(1, 1, 2, 2)
    bias = torch.tensor([[[[0.0, 4.0], [0, 0]], [[0, 0], [-2, 0]]]])
    probe = SimpleNamespace(
        inputs=torch.zeros(1, 1, 2, 2), bias_gradients=lambda: (at_input, [bias]), upsample=lambda maps: maps
    )
    assert METHODS.find("fullgrad").call(probe)[0].tolist() == [[0, 1], [0.5, 0]]


def test_fullgrad_refuses_biases_without_a_position():
    with pytest.raises(camviz.CamvizError, match="fullgrad"):
        camviz.explain(model("vit"), random_images(1), method="fullgrad")


class ChannelsLast(torch.nn.Module):
    """A linear layer over channels at every position, as in ConvNeXt: its bias is the only one."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.nn.Linear(3, 2)
        with torch.no_grad():
            self.mix.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
            self.mix.bias.copy_(torch.tensor([2.0, 0]))

    def forward(self, x):
        return self.mix(x.permute(0, 2, 3, 1)).relu().sum((1, 2))


def test_biases_of_a_channels_last_linear_layer_by_hand():
    """b ⊙ g: g is 1 where the output is positive."""
    from camviz.engine.arguments import request_of
    from camviz.engine.explain import Explainer
    from camviz.engine.forward import run_forward
    from camviz.engine.probe import Probe, Reading

    asked = camviz.load(ChannelsLast(), input_size=(4, 4), mean=(0.0,) * 3, std=(1.0,) * 3, task="classification")
    explainer = Explainer(asked, request_of("fullgrad", "0"))
    inputs = torch.ones(1, 3, 4, 4)
    inputs[0, 0, 0, 0] = -9
    passed = run_forward(explainer.ask, inputs)
    [target] = explainer.task.choose(explainer.wanted[0], passed.rows[0], None)
    _, [products] = Probe(Reading(passed, [target]), explainer.layers[0] if explainer.layers else None).bias_gradients()
    expected = 2 * torch.ones(4, 4)
    expected[0, 0] = 0
    assert torch.equal(products[0, 0], expected)
    assert not products[0, 1].any()
