"""A survey without values leaves nothing of it behind in the modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from camviz.hooks.meta import on_meta


class Cached(nn.Module):
    """Keeps a grid for the last shape that it saw, and notes that it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1)
        self.shape: tuple[int, ...] = ()
        self.grid = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape) != self.shape:
            self.shape, self.grid = tuple(x.shape), torch.ones_like(x)
        return self.layer(x) * self.grid


class Noted(nn.Module):
    """Sets a flag once, as a library does that installs hooks in its first forward."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen = True
        return x


def test_tensors_that_a_forward_caches_do_not_stay():
    module = Cached()
    with on_meta(module), torch.no_grad():
        module(torch.zeros(1, 1, 4, 4, device="meta"))
    assert module.shape == ()
    assert module(torch.zeros(1, 1, 4, 4)).device.type == "cpu"


def test_other_attributes_stay_as_the_forward_left_them():
    module = Noted()
    with on_meta(module):
        module(torch.zeros(1, device="meta"))
    assert module.seen
