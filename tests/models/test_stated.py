"""Sizes and channels that modules state."""

from __future__ import annotations

import torch
from torch import nn

from camviz.models.stated import known_size


def test_position_embeddings_state_the_size():
    module = nn.Module()
    module.patch = nn.Conv2d(3, 8, 16, 16)
    module.pos_embed = nn.Parameter(torch.zeros(1, 145, 8))
    assert known_size(module) == ((192, 192), "from position embeddings 'pos_embed'")
