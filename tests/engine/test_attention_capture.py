"""Attention weights are seen, and given back, whatever kernel a model uses."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from camviz.engine.attention_capture import capture_attention
from tests.helpers.attention import Scaled
from tests.helpers.modules import Transformer
from tests.helpers.state import hook_count, state_of


def recorded(module: nn.Module, *inputs: torch.Tensor, **more: torch.Tensor):
    """(output, [(path, attention)]) of one forward in evaluation mode."""
    found = []

    def record(path, attention):
        found.append((path, attention))
        return attention

    with torch.no_grad(), capture_attention(module, record):
        output = module(*inputs, **more)
    return output, found


ALLOWED = torch.tensor([[True, False, True], [True, True, False], [False, True, True]])


@pytest.mark.parametrize(
    "how",
    [{}, {"scale": 0.3}, {"is_causal": True}, {"attn_mask": ALLOWED}, {"attn_mask": torch.randn(3, 3)}],
    ids=["plain", "scale", "causal", "boolean mask", "added mask"],
)
def test_fused_attention_gives_the_same_and_is_seen(how):
    q, k, v = torch.randn(3, 2, 4, 3, 5).unbind()
    module = Scaled(**how)
    output, [(_, attention)] = recorded(module, q, k, v)
    torch.testing.assert_close(output, module(q, k, v))
    torch.testing.assert_close(attention @ v, module(q, k, v))
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 4, 3))
    if "attn_mask" in how and how["attn_mask"].dtype == torch.bool:
        assert not attention[..., ~ALLOWED].any()


def test_fewer_keys_than_queries_have_heads():
    q, k, v = torch.randn(1, 4, 3, 5), torch.randn(1, 2, 3, 5), torch.randn(1, 2, 3, 5)
    module = Scaled(enable_gqa=True)
    output, [(_, attention)] = recorded(module, q, k, v)
    assert attention.shape == (1, 4, 3, 3)
    torch.testing.assert_close(output, module(q, k, v))


@pytest.mark.parametrize("first", [True, False], ids=["batch first", "batch second"])
@pytest.mark.parametrize("apart", [True, False], ids=["three weights", "one weight"])
def test_multi_head_attention_gives_the_same_and_is_seen(first, apart):
    sizes = {"kdim": 6, "vdim": 10} if apart else {}
    module = nn.MultiheadAttention(8, 2, batch_first=first, **sizes).eval()
    nn.init.normal_(module.in_proj_bias)
    q, k, v = torch.randn(3, 5, 8), torch.randn(3, 4, 6 if apart else 8), torch.randn(3, 4, 10 if apart else 8)
    if not first:
        q, k, v = (one.transpose(0, 1) for one in (q, k, v))
    hidden = torch.zeros(3, 4, dtype=torch.bool)
    hidden[1, 2] = True
    added = torch.randn(6, 5, 4)
    for more in ({}, {"key_padding_mask": hidden}, {"attn_mask": added}):
        (output, weights), [(_, attention)] = recorded(module, q, k, v, **more, average_attn_weights=False)
        right, right_weights = module(q, k, v, **more, average_attn_weights=False)
        torch.testing.assert_close(output, right)
        torch.testing.assert_close(weights, right_weights)
        torch.testing.assert_close(attention, right_weights)
    assert recorded(module, q, k, v, need_weights=False)[0][1] is None


def test_an_encoder_leaves_its_fast_path_and_gives_the_same():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    module = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(2, 5, 8)
    output, found = recorded(module, x)
    with torch.no_grad():
        torch.testing.assert_close(output, module(x))
    assert [path for path, _ in found] == ["layers.0.self_attn", "layers.1.self_attn"]


def test_softmax_over_keys_is_attention_and_over_classes_is_not():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.soft = nn.Softmax(dim=-1)

        def forward(self, x):
            return (self.soft(x), x.softmax(-1), torch.softmax(x, dim=1), F.softmax(x[:, 0, 0], -1))

    _, found = recorded(Own(), torch.randn(1, 2, 3, 3))
    assert [path for path, _ in found] == ["soft", ""]


def test_what_is_given_back_is_what_the_model_goes_on_with():
    q, k, v = torch.randn(3, 1, 1, 2, 4).unbind()
    with capture_attention(module := Scaled(), lambda _, attention: torch.zeros_like(attention)):
        assert not module(q, k, v).any()
    assert module(q, k, v).any()


def test_the_model_is_as_it_was_also_after_a_failure():
    module = Transformer(prefix=1).train()
    before = state_of(module)

    def fail(*_):
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"), capture_attention(module, fail):
        module(torch.rand(1, 3, 32, 32))
    assert state_of(module) == before
    assert hook_count(module) == 0
    q = torch.randn(1, 1, 2, 4)
    seen = []
    with capture_attention(Scaled(), lambda path, attention: seen.append(path) or attention):
        pass
    F.scaled_dot_product_attention(q, q, q)
    assert not seen
