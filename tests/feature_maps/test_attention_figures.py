"""Figures of attention heads: one page per attention, one scale per head."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from camviz.feature_maps import attention_figures
from camviz.feature_maps.attention_figures import heads
from camviz.render.paper import compose
from tests.helpers.attention import extracted
from tests.helpers.modules import Transformer


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_one_page_for_each_attention_asked_for():
    module = Transformer(prefix=0, read=(), pool=True)
    assert [one.layer for one in extracted(module, ["blocks.*", "pool"])[0]] == [
        "blocks.0.attn",
        "blocks.1.attn",
        "pool",
    ]
    assert [one.layer for one in extracted(module, ["blocks.0.attn.qkv"])[0]] == ["blocks.0.attn"]
    [pool] = extracted(module, ["pool"])[0]
    assert pool.query == "attention of the pooling query"
    assert np.isnan(pool.distance).all()
    assert heads(pool).facts["distance"] == [None, None]


def test_each_head_has_its_own_scale_unless_one_is_shared(monkeypatch):
    sheets = []

    def spy(kind, sheet, *rest):
        sheets.append(sheet)
        return compose(kind, sheet, *rest)

    monkeypatch.setattr(attention_figures, "compose", spy)
    [maps] = extracted(Transformer())[0]
    strong = type(maps)(**{**vars(maps), "values": np.stack([maps.values[0], 0.1 * maps.values[0]])})
    heads(strong)
    first, second = [tile for row in sheets[-1].rows for tile in row.tiles if tile][1:]
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.notes[0].startswith("head 0 · entropy ")
    assert sheets[-1].bar is None
    heads(strong, scale="layer")
    first, second = [tile for row in sheets[-1].rows for tile in row.tiles if tile][1:]
    assert (first.pixels != second.pixels).any()
    assert sheets[-1].bar.within.low == 0
    assert heads(strong, channels=("1",)).facts["heads"] == [1]
    assert heads(strong, top=1).facts["heads"] == [0]
