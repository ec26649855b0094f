"""Prefix tokens, grids, and which tokens the head reads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from camviz.engine.attention_structure import inspect_attention
from tests.helpers.attention import asked
from tests.helpers.modules import Transformer


@pytest.mark.parametrize(
    ("how", "size", "grid", "reads"),
    [
        ({"prefix": 1}, (32, 32), (4, 4), [1] + [0] * 16),
        ({"prefix": 2, "read": (0, 1)}, (32, 32), (4, 4), [0.5, 0.5] + [0] * 16),
        ({"prefix": 5}, (16, 32), (2, 4), [1] + [0] * 12),
        ({"prefix": 0, "read": ()}, (32, 16), (4, 2), [1 / 8] * 8),
        ({"prefix": 1, "read": (0,), "mean": True}, (16, 16), (2, 2), [0.5] + [1 / 8] * 4),
    ],
    ids=["class token", "distilled", "registers, not square", "mean, not square", "class token and mean"],
)
def test_prefix_grid_and_what_the_head_reads(how, size, grid, reads):
    module = Transformer(**how, grid=grid)
    found = inspect_attention(asked(module, size), torch.rand(1, 3, *size))
    assert (found.layer.prefix, found.grid, found.tokens) == (how["prefix"], grid, len(reads))
    assert found.reads.tolist() == pytest.approx(reads)
    assert found.paths == ("blocks.0.attn", "blocks.1.attn")
    assert found.blocks == ("blocks.0", "blocks.1")
    assert not found.pool
    rows = torch.arange(float(found.tokens))
    assert found.place(rows)[0, 0] == how["prefix"]
    assert found.place(rows)[-1, -1] == found.tokens - 1


def test_pooling_by_attention_is_found():
    module = Transformer(prefix=0, read=(), pool=True)
    found = inspect_attention(asked(module), torch.rand(1, 3, 32, 32))
    assert (found.pool, len(found.paths)) == ("pool", 2)


def test_an_untrained_head_counts_as_reading_the_class_token():
    module = Transformer(prefix=1)
    nn.init.zeros_(module.head.weight)
    assert inspect_attention(asked(module), torch.rand(1, 3, 32, 32)).reads[0] == 1
