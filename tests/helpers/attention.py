"""Fused attention as a module, and what the engine asks of a module."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from camviz.engine.forward import ForwardRequest
from camviz.types import Model, Preprocessing


def asked(module: nn.Module, size: tuple[int, int] = (32, 32), name: str = "net") -> ForwardRequest:
    return ForwardRequest(Model(name, module.eval(), Preprocessing(crop=size)), ())


class Scaled(nn.Module):
    def __init__(self, **how):
        super().__init__()
        self.how = how

    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, **self.how)
