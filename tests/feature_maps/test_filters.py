"""Kernels: norms, order, near-duplicates, what is drawn how, and in which colors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from camviz.errors import ModelError, RequestError, UnknownName
from camviz.feature_maps import kernel_figures
from camviz.feature_maps.filters import Kernels, find_kernels, find_positions
from camviz.feature_maps.kernel_figures import KernelStyle, draw_kernels, draw_positions
from camviz.render.sheet import Sheet
from camviz.types import Model, Preprocessing
from tests.helpers.modules import make
from tests.helpers.sheets import composed


def kernels(weights, groups: int = 1) -> Kernels:
    return Kernels(np.asarray(weights, np.float32), "conv", "net", groups)


def model(module: nn.Module, size: int = 32) -> Model:
    return Model("net", module.eval(), Preprocessing((size, size), size))


@pytest.fixture
def sheets(monkeypatch) -> list[Sheet]:
    """The sheets that were composed."""
    return composed(monkeypatch, kernel_figures)


@pytest.fixture
def five():
    """Five kernels 1×1×2: two nearly alike, one opposite to them, one different, one alike but as good as zero."""
    return kernels(np.reshape([[3, 4], [0.61, 0.8], [-3, -4], [4, -3], [6e-4, 8e-4]], (5, 1, 1, 2)))


def test_norms_and_order(five):
    np.testing.assert_allclose(five.norms, [5, np.hypot(0.61, 0.8), 5, 5, 1e-3], rtol=1e-6)
    assert five.order() == [0, 2, 3, 1, 4]
    assert five.faint == [4]


def test_near_duplicates_are_chained_and_faint_ones_left_out(five):
    assert five.duplicates() == [(0, 1)]
    angles = np.radians([0, 17, 34, 90, 200, 210])  # cos 17° = 0.956, cos 34° = 0.83
    weights = np.stack([np.cos(angles), np.sin(angles)], 1).reshape(6, 2, 1, 1)
    assert kernels(weights).duplicates() == [(0, 1, 2), (4, 5)]


def test_kernels_of_different_groups_see_different_channels():
    same = np.ones((4, 2, 3, 3))
    assert kernels(same).duplicates() == [(0, 1, 2, 3)]
    assert kernels(same, groups=2).duplicates() == [(0, 1), (2, 3)]
    assert kernels(np.ones((4, 1, 3, 3)), groups=4).duplicates() == [(0, 1, 2, 3)], "depthwise ones are comparable"


def test_a_slice_is_named_by_the_layers_input_channel():
    weights = np.zeros((4, 3, 1, 2))
    weights[3, :, 0, 0] = [1, -5, 2]
    one = kernels(weights, groups=2)
    assert one.slices(3, 2) == [1, 2]
    assert [one.source(3, c) for c in (1, 2)] == [4, 5]
    assert one.source(1, 2) == 2


def test_nan_is_last_and_named():
    weights = np.ones((3, 3, 2, 2))
    weights[0, 0, 0, 0] = np.nan
    one = kernels(weights)
    assert one.order() == [1, 2, 0]
    assert one.duplicates() == [(1, 2)]
    facts = draw_kernels(one, KernelStyle()).facts
    assert facts["norms"][2] is None
    assert facts["scale"] == 1


# which layer


def test_the_first_convolution_is_the_default():
    [one] = find_kernels(model(make("residual")))
    assert (one.layer, one.weights.shape) == ("stem", (8, 3, 3, 3))
    weight = make("residual").stem.weight.detach().numpy()
    np.testing.assert_array_equal(one.weights, weight)


def test_the_first_one_that_runs_not_the_first_one_written():
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.later, self.sooner = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 3, 3)

        def forward(self, x):
            return self.later(self.sooner(x))

    assert find_kernels(model(Backwards()))[0].layer == "sooner"


def test_a_glob_means_the_convolutions_in_it():
    assert [one.layer for one in find_kernels(model(make("plain")), ["features.*"])] == ["features.0", "features.3"]
    assert [one.layer for one in find_kernels(model(make("plain")), ["features.-2"])] == ["features.3"]


@pytest.mark.parametrize(
    ("path", "says", "hint"),
    [
        ("features", "layer 'features' of net is a Sequential, not a 2-D convolution", "--layer features.0"),
        ("features.2", "is a ReLU", "--layer features.0"),
        ("features.4", "is a ReLU", "--layer features.3"),
        ("fc", "layer 'fc' of net is a Linear", "--layer features.3"),
    ],
)
def test_what_is_no_convolution_names_the_nearest(path, says, hint):
    with pytest.raises(ModelError) as error:
        find_kernels(model(make("plain")), [path])
    assert says in error.value.message
    assert hint in error.value.hint


def test_no_layer_and_no_convolution():
    with pytest.raises(UnknownName, match="no layer 'conv9'"):
        find_kernels(model(make("plain")), ["conv9"])
    with pytest.raises(ModelError, match="has no 2-D convolution"):
        find_kernels(model(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))))


# drawing


# positions


def test_cosines_of_positions_by_hand():
    module = make("vit")  # 16 patches and a class token
    values = torch.zeros(1, 17, 12)
    values[0, 0] = 100  # the class token is left out
    values[0, 1:, 0] = 1
    values[0, 2, :2] = torch.tensor([3.0, 4.0])  # patch (0, 1)
    values[0, 6, :2] = torch.tensor([-1.0, 0.0])  # patch (1, 1)
    module.encoder.pos_embedding.data = values
    found = find_positions(model(module))
    assert found.name == "encoder.pos_embedding"
    assert found.cosines.shape == (4, 4, 4, 4)
    assert found.cosines[0, 0, 0, 1] == pytest.approx(0.6)
    assert found.cosines[0, 1, 1, 1] == pytest.approx(-0.6)
    assert found.cosines[1, 1, 1, 1] == pytest.approx(1)
    assert found.cosines[1, 1, 0, 0] == pytest.approx(-1)
    facts = draw_positions(found).facts
    assert facts["grid"] == [4, 4]
    # 24 pairs of neighbors: 4 with (1, 1), of which one is with (0, 1); 2 more with (0, 1)
    assert facts["neighbors"] == pytest.approx((18 + 2 * 0.6 - 0.6 - 3) / 24, abs=1e-6)


def test_positions_that_are_not_there():
    with pytest.raises(ModelError, match="net has no learned position embedding"):
        find_positions(model(make("plain")))
    module = make("vit")
    nn.init.zeros_(module.encoder.pos_embedding)
    with pytest.raises(RequestError, match="it is not trained"):
        find_positions(model(module))
