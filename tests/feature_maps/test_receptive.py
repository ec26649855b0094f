"""Receptive fields: theoretical ones against hand-computed numbers and against gradients, effective ones measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from camviz.errors import RequestError
from camviz.feature_maps.receptive import HELD, _square, effective_field
from camviz.models.layers import find_layers
from camviz.models.receptive import receptive_fields
from camviz.types import Model, Preprocessing

# effective


def model(module: nn.Module, size: int = 17) -> Model:
    return Model("net", module.eval(), Preprocessing((size, size), size))


def test_the_effective_field_of_one_convolution_is_its_kernel():
    module = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False))
    kernel = torch.tensor([[1.0, -2, 1], [2, 4, 2], [1, 2, 1]])
    module[0].weight.data = kernel[None, None]
    one = model(module)
    found = effective_field(one, find_layers(one, ["0"])[0], [np.ones((2, 1, 17, 17), np.float32)])
    np.testing.assert_allclose(found.values[7:10, 7:10], kernel.abs() / 16, rtol=1e-6)
    assert found.values.sum() == pytest.approx(1)
    assert found.center == pytest.approx((8.5, 8.5))
    assert found.side == pytest.approx(3)
    assert found.images == 2


def test_it_grows_slower_than_the_theoretical_one():
    module = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(10)))
    for part in module:
        nn.init.constant_(part.weight, 1 / 9)
    one = model(module, 41)
    layer = find_layers(one, ["9"])[0]
    found = effective_field(one, layer, [np.ones((1, 1, 41, 41), np.float32)])
    assert receptive_fields(module, (41, 41))["9"].size == (21, 21)
    assert found.side == pytest.approx(13)  # ten boxes of variance 2/3: within 6.5 of the center both ways is 2.5 sigma


def test_one_channel_and_dead_units():
    module = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU())
    nn.init.ones_(module[0].weight)
    module[0].weight.data[1, :, 0] = 0
    module[0].bias.data = torch.tensor([-100.0, 0.0])
    one = model(module)
    layer = find_layers(one, ["1"])[0]
    batch = [np.ones((1, 1, 17, 17), np.float32)]
    assert (effective_field(one, layer, batch, channel=1).values > 0).sum() == 6
    with pytest.raises(RequestError, match="channel 0 of layer '1' has no gradient in any image"):
        effective_field(one, layer, batch, channel=0)


def test_every_image_counts_the_same():
    """x² has a gradient as large as the image is bright; the first of two images is black but for one row."""

    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
            nn.init.ones_(self.conv.weight)

        def forward(self, x):
            return self.conv(x * x)

    one = model(Square())
    faint, bright = np.zeros((1, 1, 17, 17), np.float32), np.full((1, 1, 17, 17), 100, np.float32)
    faint[:, :, 7] = 1e-3
    found = effective_field(one, find_layers(one, ["conv"])[0], [faint, bright])
    assert found.values[7].sum() == pytest.approx(1 / 2 + 1 / 6)


def test_the_square_holds_the_share():
    values = np.full((10, 10), 0.05 / 99)
    values[4, 4] = 0.95
    assert _square(values)[1] == pytest.approx(1, abs=0.2)
    even = np.full((10, 10), 0.01)
    center, side = _square(even)
    assert center == (5, 5)
    assert side == 10
    assert HELD == 0.95


def test_a_model_whose_first_operation_is_in_place():
    one = model(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(1, 1, 3, padding=1)))
    nn.init.ones_(one.module[1].weight)
    found = effective_field(one, find_layers(one, ["1"])[0], [np.ones((1, 1, 17, 17), np.float32)])
    assert found.side == pytest.approx(3)
