"""Attention recorded however it is computed, and the model as it was afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from camviz.engine.attention_capture import capture_attention
from camviz.engine.attention_flow import Attention
from camviz.engine.attention_structure import inspect_attention
from camviz.engine.forward import ForwardRequest
from camviz.errors import ModelError
from camviz.types import Model, Preprocessing
from tests.helpers.modules import Transformer
from tests.helpers.state import hook_count, state_of


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def asked(module: nn.Module, size: tuple[int, int] = (32, 32), name: str = "net") -> ForwardRequest:
    return ForwardRequest(Model(name, module.eval(), Preprocessing(crop=size)), ())


def recorded(module: nn.Module, *inputs: torch.Tensor, **more: torch.Tensor):
    """(output, [(path, attention)]) of one forward in evaluation mode."""
    found = []

    def record(path, attention):
        found.append((path, attention))
        return attention

    with torch.no_grad(), capture_attention(module, record):
        output = module(*inputs, **more)
    return output, found


class Scaled(nn.Module):
    def __init__(self, **how):
        super().__init__()
        self.how = how

    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, **self.how)


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


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("swin_t", r"'features.1.0.attn' .* windows of 49"),
        ("maxvit_t", "windows of 49"),
        ("resnet18", "resnet18"),
    ],
)
def test_attention_that_is_not_between_all_tokens_is_refused(name, why):
    from torchvision import models

    module = models.get_model(name)
    with pytest.raises(ModelError, match=why) as caught:
        inspect_attention(asked(module, (224, 224), name), torch.rand(1, 3, 224, 224))
    assert "--method gradcam" in caught.value.hint


class Reduced(Transformer):
    """Keys of the first two tokens alone, as where attention is to a coarser grid."""

    def __init__(self):
        super().__init__(prefix=0, read=())
        self.first = Scaled()

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2) + self.position
        for block in self.blocks:
            x = block(x + self.first(x, x[:, :2], x[:, :2]))
        return self.head(x.mean(1))


def test_fewer_keys_than_queries_are_refused():
    with pytest.raises(ModelError, match="'first' has 16 queries and 2 keys"):
        inspect_attention(asked(Reduced()), torch.rand(1, 3, 32, 32))


def test_pieces_that_fit_into_memory_give_the_same(monkeypatch):
    module = Transformer(prefix=1)
    inputs = torch.rand(3, 3, 32, 32)

    def matrices(gradients):
        attention = Attention(asked(module), inputs, lambda output, start, stop: output[:, 0])
        return attention.matrices(lambda a, g=0: (a + g).mean(1), gradients)

    whole = [matrices(False), matrices(True)]
    monkeypatch.setattr("camviz.engine.attention_flow._BUDGET", 1)
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    for gradients, right in zip((False, True), whole, strict=True):
        calls.clear()
        for a, b in zip(matrices(gradients), right, strict=True):
            torch.testing.assert_close(a, b)
        assert len(calls) > 3
