"""Smoothing and fusing, by hand."""

import numpy as np
import pytest
import torch

import camviz
from camviz.engine.smoothing import fuse
from tests.helpers.inputs import model, random_images
from tests.helpers.modules import Plain


class Brightness(torch.nn.Module):
    """A score that is a plain mean, and a map that is the image itself: it moves with the image."""

    def __init__(self):
        super().__init__()
        self.look = torch.nn.Conv2d(3, 1, 1, bias=False)
        with torch.no_grad():
            self.look.weight.fill_(1 / 3)

    def forward(self, x):
        s = self.look(x).mean((1, 2, 3))
        return torch.stack([s, -s], 1)


def smooth_image():
    """A soft spot off the middle: zoomed the wrong way, it would be elsewhere."""
    y, x = np.mgrid[0:32, 0:32]
    spot = np.exp(-((x - 24) ** 2 + (y - 9) ** 2) / 12)
    return np.repeat((255 * spot)[:, :, None], 3, 2).round().astype(np.uint8)


def test_aug_of_a_map_that_moves_with_the_image_is_the_map_itself():
    asked = camviz.load(Brightness(), input_size=(32, 32), mean=(0,), std=(1,))
    plain, smoothed = (
        camviz.explain(asked, smooth_image(), layer="look", method="hirescam", target="0", smooth=s)[0].values
        for s in ("none", "aug")
    )
    inner = (slice(3, -3), slice(3, -3))  # at the edge a zoomed image repeats its border
    np.testing.assert_allclose(smoothed[inner], plain[inner], atol=0.06 * plain.max())


def test_aug_undoes_the_mirroring():
    # a model that only sees the left half: mirrored and not undone, the map would be symmetric
    class Left(Brightness):
        def forward(self, x):
            s = self.look(x)[..., :16].mean((1, 2, 3))
            return torch.stack([s, -s], 1)

    asked = camviz.load(Left(), input_size=(32, 32), mean=(0,), std=(1,))
    image = np.zeros((32, 32, 3), np.uint8)
    image[10:22, 20:28] = 255  # right: seen only when mirrored
    [found] = camviz.explain(asked, image, layer="look", method="hirescam", target="0", smooth="aug")
    assert found.values[12:20, 22:26].min() > 0
    assert np.abs(found.values[:, 2:14]).max() < 1e-6


def test_eigen_is_the_first_component_of_the_contributions():
    asked = model("plain")
    [smoothed] = camviz.explain(asked, random_images(1), method="hirescam", smooth="eigen", target="0")
    [plain] = camviz.explain(asked, random_images(1), method="eigengradcam", target="0")
    np.testing.assert_allclose(smoothed.values, plain.values, rtol=1e-5)


def test_eigen_of_a_method_without_channels_is_refused():
    with pytest.raises(camviz.CamvizError, match="'eigencam' does not"):
        camviz.explain(model("plain"), random_images(1), method="eigencam", smooth="eigen")


def test_noise_is_the_mean_over_noisy_inputs_and_repeats():
    a, b, c = (
        camviz.explain(model("plain"), random_images(1), method="hirescam", smooth="noise", target="0", seed=seed)[
            0
        ].values
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0
    [plain] = camviz.explain(model("plain"), random_images(1), method="hirescam", target="0")
    assert np.corrcoef(a.ravel(), plain.values.ravel())[0, 1] > 0.7


FINE = torch.tensor([[[1.0, -2], [3, 4]]])
COARSE = torch.tensor([[[2.0]]])


def test_fuse_by_hand():
    assert fuse([FINE, COARSE], "mean")[0].tolist() == [[1.5, 0], [2.5, 3]]
    assert fuse([FINE, COARSE], "max")[0].tolist() == [[2, 2], [3, 4]]
    assert fuse([FINE, COARSE], "product")[0].tolist() == [[2, 0], [6, 8]]
    # LayerCAM: tanh(2·relu(M)/max M) for the finer one, relu(M)/max M for the coarsest, the larger of both
    assert fuse([FINE, COARSE], "layercam")[0].tolist() == [[1, 1], [1, 1]]
    coarse = torch.tensor([[[0.0]]])
    np.testing.assert_allclose(fuse([FINE, coarse], "layercam")[0], np.tanh([[0.5, 0], [1.5, 2.0]]), rtol=1e-6)


def test_fused_layers_are_one_map_named_by_all():
    maps = camviz.explain(model("plain"), random_images(1), layer=["features.0", "features.4"], fuse="mean", target="0")
    [found] = maps
    assert found.layer == "features.0+features.4"
    assert found.values.shape == (16, 16)
    one, two = camviz.explain(model("plain"), random_images(1), layer=["features.0", "features.4"], target="0")
    expected = fuse([torch.from_numpy(m.values)[None] for m in (one, two)], "mean")[0]
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)


def test_fusing_one_layer_changes_nothing():
    a, b = (camviz.explain(model("plain"), random_images(1), fuse=f)[0] for f in ("none", "product"))
    np.testing.assert_array_equal(a.values, b.values)
    assert isinstance(model("plain").module, Plain)
