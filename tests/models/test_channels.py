"""Channels come from the first layer that runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from camviz.models.channels import initialize, input_channels


class Registered(nn.Module):
    """Its first registered convolution never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.unused, self.conv = nn.Conv2d(7, 4, 3), nn.Conv2d(1, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class Repeated(nn.Module):
    """Gray in, three channels to its convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x.repeat(1, 3, 1, 1))


class Coordinates(nn.Module):
    """Two channels of coordinates are appended to one of gray."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.cat([x, torch.zeros_like(x[:, :1]), torch.zeros_like(x[:, :1])], 1))


@pytest.mark.parametrize(
    ("module", "channels"),
    [
        (nn.Conv2d(3, 4, 3), 3),
        (nn.Conv2d(13, 4, 3), 13),
        (Registered(), 1),
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3)), 3),
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, 4, 3)), 1),
        (Repeated(), 1),
        (Coordinates(), 1),
        (nn.Sequential(nn.Unfold(8, stride=8), nn.Flatten(), nn.Linear(3 * 64 * 64, 2)), 3),
        (nn.Sequential(nn.Flatten(), nn.Linear(64 * 64, 2)), 1),
    ],
)
def test_channels(module, channels):
    before = [parameter.clone() for parameter in module.parameters()]
    assert input_channels(module) == channels
    assert all(torch.equal(one, other) for one, other in zip(before, module.parameters(), strict=True))


def test_lazy_layers_get_their_shapes():
    module = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
    assert initialize(module, (32, 32))
    assert module[0].in_channels == 3
    assert not initialize(module, (32, 32))
