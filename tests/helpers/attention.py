"""Fused attention as a module, and what the engine asks of a module."""

from __future__ import annotations

import numpy as np
from torch import nn
from torch.nn import functional as F

from camviz.engine.forward import ForwardRequest
from camviz.feature_maps.attention_heads import HeadExtractor
from camviz.io.notebook import as_images
from camviz.models.preprocess import prepare
from camviz.types import Model, Preprocessing


def asked(module: nn.Module, size: tuple[int, int] = (32, 32), name: str = "net") -> ForwardRequest:
    return ForwardRequest(Model(name, module.eval(), Preprocessing(crop=size)), ())


class Scaled(nn.Module):
    def __init__(self, **how):
        super().__init__()
        self.how = how

    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, **self.how)


def extracted(module, patterns=(), size=(32, 32), count=1):
    """Return the attention of heads of images of noise."""
    model = Model("net", module.eval(), Preprocessing(crop=size, resize=None))
    pixels = np.random.default_rng(0).integers(0, 255, (count, *size, 3), np.uint8)
    images = [as_images(image)[0] for image in pixels]
    ready = [prepare(image, model.preprocessing, "model") for image in images]
    extractor = HeadExtractor(model, patterns)
    return extractor(images, [values for values, _ in ready], [view for _, view in ready])
