"""What each head of an attention looks at, in numbers by hand and as a figure."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from camviz.engine.attention_structure import Structure
from camviz.errors import ModelError, UnknownName
from camviz.feature_maps.attention_heads import _distances, measured
from camviz.types import Layer
from tests.helpers.attention import extracted
from tests.helpers.modules import Transformer, make
from tests.helpers.state import hook_count


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def structure(reads, prefix, grid):
    layer = Layer("blocks", "tokens", prefix, (8, 8))
    return Structure(("blocks.0.attn",), ("blocks.0",), "", 1, torch.tensor(reads), layer, grid)


def test_row_entropy_and_distance_by_hand():
    how = structure([1.0, 0.0, 0.0], 1, (1, 2))  # class token, and two patches of 8×16 beside each other
    attention = torch.tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.5, 0.25, 0.25]])[None, None]
    rows, measures = measured(attention, how, _distances((1, 2), (16, 16))).split([3, 2], -1)
    assert rows[0, 0].tolist() == [0.5, 0.25, 0.25]
    # entropies 1.5, 0 and 1.5 bits; patch 0 keeps all to itself, patch 1 gives half of what patches get, 8 px away
    assert measures[0, 0].tolist() == pytest.approx([1.0, 2.0])


def test_rows_of_all_patches_are_averaged():
    how = structure([0.5, 0.5], 0, (1, 2))
    attention = torch.tensor([[1.0, 0.0], [0.5, 0.5]])[None, None]
    assert measured(attention, how, _distances((1, 2), (8, 16)))[0, 0, :2].tolist() == [0.75, 0.25]


def test_distances_between_patches_that_are_not_square():
    found = _distances((2, 2), (20, 10))
    assert found[0].tolist() == pytest.approx([0, 5, 10, math.hypot(5, 10)])


@pytest.mark.parametrize(
    ("how", "size", "whose"),
    [
        ({"prefix": 1}, (32, 32), "attention of the class token"),
        ({"prefix": 5, "read": (0, 1)}, (16, 24), "mean attention of the 2 tokens that are read"),
        ({"prefix": 0, "read": ()}, (16, 24), "mean attention of all patches"),
    ],
)
def test_heads_of_a_model(how, size, whose):
    module = Transformer(**how, grid=(size[0] // 8, size[1] // 8))
    [[maps], _] = extracted(module, size=size, count=2)
    assert maps.layer == "blocks.1.attn"
    assert maps.values.shape == (2, size[0] // 8, size[1] // 8)
    assert maps.query == whose
    np.testing.assert_allclose(maps.values.sum((1, 2)) + maps.rest, 1, rtol=1e-5)
    assert (maps.rest.max() > 1e-4) == (how["prefix"] > 0)
    assert (maps.entropy < math.log2(maps.tokens)).all()
    assert (maps.distance > 0).all()
    assert (maps.distance < math.hypot(*size)).all()
    assert hook_count(module) == 0


def test_what_cannot_be_shown_says_why():
    module = Transformer()
    with pytest.raises(ModelError, match="layer 'head' of net") as caught:
        extracted(module, ["head"])
    assert "--layer blocks.1.attn" in caught.value.hint
    with pytest.raises(UnknownName, match=r"no layer 'blocs\.0'"):
        extracted(module, ["blocs.0"])
    with pytest.raises(ModelError, match="net has no attention") as caught:
        extracted(make("plain"))
    assert "--attention" in caught.value.hint
