"""Attention recorded however it is computed, and the model as it was afterwards."""

from __future__ import annotations

import pytest
import torch

from camviz.engine.attention_flow import Attention
from camviz.engine.attention_structure import inspect_attention
from camviz.errors import ModelError
from tests.helpers.attention import Scaled, asked
from tests.helpers.modules import Transformer


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
