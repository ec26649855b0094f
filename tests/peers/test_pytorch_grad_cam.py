"""Agreement with pytorch-grad-cam 1.5, and where it differs: `theirs` are its maps before ReLU and scaling."""

import numpy as np
import pytest
import torch
from torch import nn

from camviz.methods.components import principal
from tests.peers.conftest import CLASS, LAYER, activations_and_gradients, close

pytest.importorskip("pytorch_grad_cam")
from pytorch_grad_cam import AblationCAM, FinerCAM, GradCAM, LayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

SAME = {
    "gradcam": "GradCAM",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
    "xgradcam": "XGradCAM",
    "gradcam-elementwise": "GradCAMElementWise",
    "shapleycam": "ShapleyCAM",
}


def up_to_sign(a, b):
    signs = np.sign((a * b).sum((1, 2), keepdims=True))
    return a * signs, b


@pytest.mark.parametrize("name", LAYER)
@pytest.mark.parametrize("method", SAME)
def test_the_same_maps(method, name, network, inputs, ours, grad_cam):
    module, x = network(name), inputs(name)
    close(ours(module, x, method, LAYER[name]), grad_cam(SAME[method], module, x, LAYER[name]))


def test_shapleycam_is_not_gradcam_where_the_head_is_curved(network, inputs, ours):
    module, x = network("smooth"), inputs("smooth")
    first, second = (ours(module, x, method, "conv") for method in ("gradcam", "shapleycam"))
    assert np.abs(first - second).max() > 1e-3 * np.abs(first).max()


def test_gradcam_plus_plus_is_damped_by_their_epsilon(network, inputs, ours, grad_cam):
    """Theirs has equation 19 with 1e-6 added to a denominator of the order of G²: small gradients lose their weight."""
    module, x, layer = network("resnet18"), inputs("resnet18"), LAYER["resnet18"]
    a, g = activations_and_gradients(module, x, layer)

    def plus_plus(epsilon):
        below = 2 * g**2 + a.sum((2, 3), keepdims=True) * g**3 + epsilon
        alpha = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
        return ((alpha * np.maximum(g, 0)).sum((2, 3), keepdims=True) * a).sum(1)

    theirs = grad_cam("GradCAMPlusPlus", module, x, layer)
    close(ours(module, x, "gradcam++", layer), plus_plus(0), 1e-3)
    close(theirs, plus_plus(1e-6), 1e-3)
    # a score in other units is the same question: eq. 19 scales with it, their map changes its shape
    with torch.no_grad():
        module.fc.weight *= 1e-3
        module.fc.bias *= 1e-3
    a, g = activations_and_gradients(module, x, layer)
    scaled = grad_cam("GradCAMPlusPlus", module, x, layer)
    close(scaled, plus_plus(1e-6), 1e-3)
    close(ours(module, x, "gradcam++", layer), plus_plus(0), 1e-3)
    assert np.abs(scaled).max() < 0.5 * np.abs(plus_plus(0)).max()


def test_ablationcam_has_the_same_weights_once_the_division_by_the_score_is_undone(network, inputs, ours, grad_cam):
    """Theirs are (S - S_k) / S: a negative score turns the map round, a score near zero blows it up."""
    module, x = network("resnet18"), inputs("resnet18")
    for target in (int(module(x)[0].argmax()), int(module(x)[0].argmin())):
        score = float(module(x)[0, target].detach())
        theirs = grad_cam("AblationCAM", module, x[:1], "layer4", [ClassifierOutputTarget(target)])
        close(theirs * score, ours(module, x[:1], "ablationcam", "layer4", target))
    assert score < 0


def test_ablationcam_weights_are_equal_to_a_ten_thousandth(network, inputs, ours, monkeypatch):
    from camviz.engine.probe import Probe

    module, x, drops = network("resnet18"), inputs("resnet18", 1), []
    scored = Probe.score_activations

    def noting(probe, image, total, alter):
        scores = scored(probe, image, total, alter)
        drops.append((probe.scores[image] - scores).numpy())
        return scores

    monkeypatch.setattr(Probe, "score_activations", noting)
    with AblationCAM(module, [module.layer4]) as cam:
        weigh, kept = cam.get_cam_weights, []
        cam.get_cam_weights = lambda *given: kept.append(weigh(*given)) or kept[-1]
        cam(x, [ClassifierOutputTarget(CLASS)])
    ours(module, x, "ablationcam", "layer4")
    score = float(module(x)[0, CLASS].detach())
    np.testing.assert_allclose(kept[0][0] * score, drops[0], rtol=0, atol=1e-4 * np.abs(drops[0]).max())


def test_ablationcam_removes_a_channel_where_theirs_floods_it(network, inputs, ours, grad_cam):
    """Where activations can be negative, theirs puts -10⁷ into the channel instead of 0."""
    module, x = network("smooth"), inputs("smooth")
    theirs, own = grad_cam("AblationCAM", module, x, "act"), ours(module, x, "ablationcam", "act")
    a, _ = activations_and_gradients(module, x, "act")
    assert a.min() < 0
    silent = []
    for k in range(a.shape[1]):
        handle = module.act.register_forward_hook(
            lambda _m, _i, out, k=k: out * (torch.arange(out.shape[1]) != k)[:, None, None]
        )
        silent.append(module(x)[:, CLASS].detach().numpy())
        handle.remove()
    score = module(x)[:, CLASS].detach().numpy()
    close(own, ((score - np.stack(silent)).T[:, :, None, None] * a).sum(1), 1e-3)
    assert np.abs(own - theirs * score[:, None, None]).max() > 0.1 * np.abs(own).max()


def test_eigencam_is_theirs_when_centered(network, inputs, ours, grad_cam):
    """The paper does not center; theirs does, and leaves the sign to chance."""
    module, x, layer = network("vgg11"), inputs("vgg11"), LAYER["vgg11"]
    a = torch.from_numpy(activations_and_gradients(module, x, layer)[0])
    theirs = grad_cam("EigenCAM", module, x, layer)
    close(*up_to_sign(principal(a - a.mean((2, 3), keepdim=True)).numpy(), theirs), 1e-3)
    own = ours(module, x, "eigencam", layer)
    close(own, principal(a).numpy(), 1e-3)
    # not centered, non-negative activations have a map without a sign change, and it is positive
    assert (own >= -1e-6 * own.max()).all()
    assert (theirs < 0).any()


def test_kpcacam_is_theirs_with_an_rbf_kernel(network, inputs, ours, grad_cam):
    module, x, layer = network("vgg11"), inputs("vgg11"), LAYER["vgg11"]
    theirs = grad_cam("KPCA_CAM", module, x, layer, kernel="rbf")
    close(*up_to_sign(ours(module, x, "kpcacam", layer), theirs), 1e-3)


def test_fem_weighs_strong_places_where_theirs_counts_them(network, inputs, ours, grad_cam):
    """The paper adds up binary maps weighted by the channels' means; theirs adds up activations weighted by counts."""
    module, x, layer = network("vgg11"), inputs("vgg11"), LAYER["vgg11"]
    a, _ = activations_and_gradients(module, x, layer)
    mean, spread = a.mean((2, 3), keepdims=True), a.std((2, 3), keepdims=True)
    strong = a > mean + 2 * spread
    close(ours(module, x, "fem", layer), (mean * strong).sum(1))
    close(grad_cam("FEM", module, x, layer), (strong.mean((2, 3), keepdims=True) * a).sum(1))


def test_finercam_agrees_for_one_reference(network, inputs, ours):
    """For several, theirs weighs references by their probabilities and takes a strength of 1; the default here is the
    plain mean and 0.6, as torchcam has it."""
    module, x, layer = network("vgg11"), inputs("vgg11"), LAYER["vgg11"]
    kept = []
    with FinerCAM(module, [module.get_submodule(layer)]) as cam:
        image = cam.base_cam.get_cam_image
        cam.base_cam.get_cam_image = lambda *given: kept.append(image(*given)) or kept[-1]
        cam(x, None, alpha=0.6, comparison_categories=[1], target_idx=CLASS)
    close(ours(module, x, "finercam", layer, references=1), kept[0])


def test_theirs_stores_an_activation_that_an_in_place_relu_then_overwrites(network, inputs, ours, grad_cam):
    """On the CPU their record is not a copy: an in-place ReLU behind the layer clips it, and the map with it."""
    x, layer = inputs("vgg11"), "features.16"  # a convolution, ReLU behind it
    good, bad = network("vgg11"), network("vgg11", inplace=True)
    assert isinstance(good.get_submodule(layer), nn.Conv2d)
    expected = grad_cam("GradCAM", good, x, layer)
    close(ours(good, x, "gradcam", layer), expected)
    close(ours(bad, x, "gradcam", layer), expected)
    wrong = grad_cam("GradCAM", bad, x, layer)
    assert np.abs(wrong - expected).max() > 0.05 * np.abs(expected).max()


def test_theirs_gives_blank_maps_for_images_without_a_target(network, inputs):
    module, x = network("vgg11"), inputs("vgg11", 3)
    with LayerCAM(module, [module.features[15]]) as cam:
        maps = cam(x, [ClassifierOutputTarget(CLASS)])  # one target, three images, not a word
    assert maps[0].max() > 0
    assert not maps[1:].any()


def test_theirs_swallows_an_index_error(network, inputs, ours):
    import camviz

    module, x, done = network("vgg11"), inputs("vgg11", 1), []
    with GradCAM(module, [module.features[15]]) as cam:
        cam(x, [ClassifierOutputTarget(10)])  # there are ten classes: 0 to 9
        done.append(True)
    assert not done
    with pytest.raises(camviz.CamvizError, match="10"):
        ours(module, x, "gradcam", "features.15", target=10)


def test_theirs_leaves_gradients_in_the_network(network, inputs, ours):
    module, x = network("vgg11"), inputs("vgg11", 1)
    ours(module, x, "gradcam", "features.15")
    assert all(parameter.grad is None for parameter in module.parameters())
    with GradCAM(module, [module.features[15]]) as cam:
        cam(x, [ClassifierOutputTarget(CLASS)])
    assert any(parameter.grad is not None for parameter in module.parameters())
