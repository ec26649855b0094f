"""Agreement with captum 0.9, whose rules for ReLU need modules that are not in place and used once."""

import pytest
import torch

from tests.peers.conftest import CLASS, LAYER, close

attr = pytest.importorskip("captum.attr")
pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU"),
    pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients"),
]


@pytest.mark.parametrize("name", LAYER)
def test_gradcam(name, network, inputs, ours):
    module, x, layer = network(name), inputs(name), LAYER[name]
    theirs = attr.LayerGradCam(module, module.get_submodule(layer)).attribute(x, CLASS)
    close(ours(module, x, "gradcam", layer), theirs.detach().numpy()[:, 0])


@pytest.mark.parametrize("name", LAYER)
def test_saliency_and_its_product_with_the_input(name, network, inputs, ours):
    module, x = network(name), inputs(name)
    close(ours(module, x, "gradient"), attr.Saliency(module).attribute(x, CLASS).amax(1).numpy())
    close(ours(module, x, "gradient-x-input"), attr.InputXGradient(module).attribute(x, CLASS).detach().sum(1).numpy())


@pytest.mark.parametrize("name", ["resnet18", "plain", "smooth"])
def test_integrated_gradients(name, network, inputs, ours):
    module, x = network(name), inputs(name, 1)
    theirs = attr.IntegratedGradients(module).attribute(x, 0, CLASS, n_steps=50, method="gausslegendre")
    close(ours(module, x, "integrated-gradients", baseline="mean", steps=50, reduce="sum"), theirs.sum(1).numpy(), 1e-3)


@pytest.mark.parametrize("name", ["vgg11", "plain"])
def test_guided_backprop_and_deconvolution(name, network, inputs, ours):
    module, x = network(name), inputs(name)
    guided = attr.GuidedBackprop(module).attribute(x, CLASS).detach()
    deconv = attr.Deconvolution(module).attribute(x, CLASS).detach()
    assert not torch.allclose(guided, deconv)
    close(ours(module, x, "guided-backprop", reduce="sum"), guided.sum(1).numpy())
    close(ours(module, x, "deconvnet", reduce="sum"), deconv.sum(1).numpy())


def test_guided_gradcam(network, inputs, ours):
    module, x, layer = network("vgg11"), inputs("vgg11"), "features.7"
    peer = attr.GuidedGradCam(module, module.get_submodule(layer))
    theirs = peer.attribute(x, CLASS, interpolate_mode="bilinear")
    close(ours(module, x, "guided-gradcam", layer, reduce="sum"), theirs.detach().sum(1).numpy(), 1e-3)


def test_guided_backprop_reaches_functional_relus_where_theirs_does_not(network, inputs, ours):
    """Theirs hooks ReLU modules only: a functional one keeps its ordinary gradient, without a word."""

    class Functional(type(network("plain"))):
        def forward(self, x):
            conv, norm, _, last, _ = self.features
            return self.fc(torch.relu(last(torch.relu(norm(conv(x))))).mean((2, 3)))

    module, x = network("plain"), inputs("plain")
    expected = ours(module, x, "guided-backprop", reduce="sum")
    module.__class__ = Functional
    close(ours(module, x, "guided-backprop", reduce="sum"), expected)
    theirs = attr.GuidedBackprop(module).attribute(x, CLASS).detach()
    close(theirs.sum(1).numpy(), attr.Saliency(module).attribute(x, CLASS, abs=False).detach().sum(1).numpy())


def test_occlusion_where_patches_fit(network, inputs, ours):
    module, x = network("plain"), inputs("plain", 1)  # 32 pixels: patches of 8, every 4
    peer = attr.Occlusion(module)
    theirs = peer.attribute(x, (3, 8, 8), (3, 4, 4), target=CLASS)
    close(ours(module, x, "occlusion", patch=8, stride=4), theirs.detach()[:, 0].numpy())
