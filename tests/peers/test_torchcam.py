"""Agreement with torchcam 0.5, and where it differs: `theirs` are its maps without ReLU and scaling."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.peers.conftest import CLASS, LAYER, activations_and_gradients, close

methods = pytest.importorskip("torchcam.methods")

SAME = {"gradcam": "GradCAM", "layercam": "LayerCAM", "xgradcam": "XGradCAM", "finercam": "FinerCAM"}


@pytest.mark.parametrize("name", LAYER)
@pytest.mark.parametrize("method", SAME)
def test_the_same_maps(method, name, network, inputs, ours, torchcam):
    module, x = network(name), inputs(name)
    close(ours(module, x, method, LAYER[name]), torchcam(SAME[method], module, x, LAYER[name]))


def test_cam(network, inputs, ours, torchcam):
    module, x = network("resnet18"), inputs("resnet18")
    close(ours(module, x, "cam", "layer4"), torchcam("CAM", module, x, "layer4", fc_layer="fc"))


def test_refinecam_is_proportional(network, inputs, ours, torchcam):
    """Theirs scales maps before they are enlarged, the formula here afterwards: a constant factor."""
    module, x = network("resnet18"), inputs("resnet18")
    own = ours(module, x, "refinecam", "layer3")
    with methods.RefineCAM(module, ["relu", "layer1", "layer2", "layer3"], base_method=methods.GradCAM) as cam:
        [theirs] = cam([CLASS] * len(x), module(x), normalized=False)
    assert own.shape == theirs.shape
    tops = [maps.max((1, 2), keepdims=True) for maps in (own, theirs.detach().numpy())]
    close(own / tops[0], theirs.numpy() / tops[1], 1e-3)


def test_gradcam_plus_plus_lost_its_denominator(network, inputs, ours, torchcam):
    """It divides a copy made by boolean indexing, which changes nothing: α is G², not equation 19."""
    module, x, layer = network("resnet18"), inputs("resnet18"), LAYER["resnet18"]
    a, g = activations_and_gradients(module, x, layer)

    def weighted(alpha):
        return ((alpha * np.maximum(g, 0)).sum((2, 3), keepdims=True) * a).sum(1)

    below = 2 * g**2 + a.sum((2, 3), keepdims=True) * g**3
    close(torchcam("GradCAMpp", module, x, layer), weighted(g**2), 1e-3)
    close(ours(module, x, "gradcam++", layer), weighted(np.where(below != 0, g**2 / below, 0)), 1e-3)
    # not even the denominator they meant is equation 19: Σ A·G³ over all places, where it has ΣA times the place's G³
    meant = 2 * g**2 + (a * g**3).sum((2, 3), keepdims=True)
    assert np.abs(weighted(g**2 / below) - weighted(g**2 / meant)).max() > 1e-2 * np.abs(weighted(g**2 / below)).max()


class Thirds(nn.Module):
    """Cells of three pixels: enlarging by an odd factor keeps a channel's extremes, so both ways to scale agree."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 3, stride=3)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).square().mean((2, 3)))


def test_scorecam_of_logits(ours, torchcam):
    """Theirs scores logits, and its black is the mean color: here asked for by `score=logit` and a mean of 0."""
    module, x = Thirds().eval(), torch.randn(2, 3, 27, 27, generator=torch.Generator().manual_seed(0))
    close(ours(module, x, "scorecam", "conv", score="logit"), torchcam("ScoreCAM", module, x, "conv"))


def test_iscam_theirs_brightens_the_image(ours):
    """It adds the strengths up, 0.1 + 0.2 + …, so that the last image is five and a half times too bright."""
    module, x, tops = Thirds().eval(), torch.rand(1, 3, 27, 27, generator=torch.Generator().manual_seed(0)), []
    with methods.ISCAM(module, "conv") as cam:
        module(x)
        handle = module.register_forward_pre_hook(lambda _, given: tops.append(float(given[0].max() / x.max())))
        cam([CLASS])
        theirs = max(tops)
        tops.clear()
        ours(module, x, "iscam", "conv")
        handle.remove()
    assert theirs > 5
    assert max(tops) <= 1 + 1e-6


def test_theirs_stores_an_activation_that_an_in_place_relu_then_overwrites(network, inputs, ours, torchcam):
    """Its record is not a copy either."""
    x, layer = inputs("vgg11"), "features.16"
    good, bad = network("vgg11"), network("vgg11", inplace=True)
    expected = torchcam("GradCAM", good, x, layer)
    close(ours(good, x, "gradcam", layer), expected)
    close(ours(bad, x, "gradcam", layer), expected)
    try:
        wrong = torchcam("GradCAM", bad, x, layer)
    except RuntimeError:  # differentiating to what was overwritten is refused
        return
    assert np.abs(wrong - expected).max() > 0.05 * np.abs(expected).max()
