"""Tokens that go through a block window by window are not drawn as if they were in reading order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import camviz
from camviz.errors import ModelError
from camviz.models.layers import default_layer, find_layers, list_layers
from camviz.models.outputs import surveyed


class Windowed(nn.Module):
    """2 × 2 windows of 4 × 4 tokens: `grouped` keeps the order of the windows, else of the image, for the block."""

    def __init__(self, grouped: bool) -> None:
        super().__init__()
        self.grouped = grouped
        self.embed = nn.Conv2d(3, 16, 8, 8)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.last = nn.Conv2d(16, 16, 1)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x)
        n, c = tokens.shape[:2]
        tokens = tokens.reshape(n, c, 2, 4, 2, 4).permute(0, 2, 4, 3, 5, 1).reshape(n, 64, c)
        if not self.grouped:
            tokens = tokens.reshape(n, 2, 2, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(n, 64, c)
        tokens = self.block(tokens)
        if self.grouped:
            tokens = tokens.reshape(n, 2, 2, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(n, 64, c)
        return self.head(self.last(tokens.mT.reshape(n, c, 8, 8)).mean((2, 3)))


def loaded(grouped: bool):
    torch.manual_seed(0)
    return camviz.load(Windowed(grouped), input_size=(64, 64))


def test_tokens_in_windows_are_refused():
    model = loaded(grouped=True)
    with pytest.raises(ModelError, match="order of mask units or windows"):
        find_layers(model, ["block"])
    listed = {run.path: layer for run, layer in list_layers(model, surveyed(model))}
    assert listed["block"] is None
    assert default_layer(model, surveyed(model)).path in ("embed", "last")


def test_tokens_put_in_order_again_are_kept():
    model = loaded(grouped=False)
    [layer] = find_layers(model, ["block"])
    assert layer.layout == "tokens"
