"""Modules called with other arguments than a batch of images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from camviz.models.adapters import adapt


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, before, after, *, scale=1.0):
        return {"logits": scale * (self.conv(after) - self.conv(before)).mean((2, 3))}


@pytest.mark.parametrize(
    "inputs", [lambda x: (torch.zeros_like(x), x), lambda x: {"before": torch.zeros_like(x), "after": x, "scale": 1.0}]
)
def test_inputs_are_the_arguments_of_forward_and_outputs_reads_the_result(inputs):
    module, batch = Pair(), torch.rand(2, 3, 8, 8)
    expected = module(torch.zeros_like(batch), batch)["logits"]
    adapt(module, inputs=inputs, outputs=lambda raw: raw["logits"])
    assert torch.equal(module(batch), expected)
    assert [path for path, _ in module.named_modules()] == ["", "conv"]


def test_a_single_value_is_one_argument():
    module = nn.Flatten()
    adapt(module, inputs=lambda x: x[:, :1])
    assert module(torch.rand(2, 3, 4, 4)).shape == (2, 16)
