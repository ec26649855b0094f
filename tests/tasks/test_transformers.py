"""Detectors and segmenters of the transformers library, small and untrained: what they give is understood."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import camviz
from camviz.types import Model, Preprocessing
from tests.helpers.inputs import random_images

pytestmark = pytest.mark.slow
transformers = pytest.importorskip("transformers")
LABELS = ("cat", "dog", "bird", "fish")


def detr(name: str):
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    config = getattr(transformers, f"{name}Config")(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone, d_model=32,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, num_queries=10, num_labels=len(LABELS),
    )  # fmt: skip
    return getattr(transformers, f"{name}ForObjectDetection")(config)


def yolos():
    config = transformers.YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=[128, 128],
        num_detection_tokens=10, num_labels=len(LABELS),
    )  # fmt: skip
    return transformers.YolosForObjectDetection(config)


def segformer():
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 16, 16, 32], depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=16,
        num_labels=len(LABELS),
    )  # fmt: skip
    return transformers.SegformerForSemanticSegmentation(config)


@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (lambda: detr("Detr"), "backbone"),
        (lambda: detr("ConditionalDetr"), "backbone"),
        (yolos, "layer"),
        (segformer, "segformer."),
    ],
    ids=["detr", "conditional-detr", "yolos", "segformer"],
)
def test_a_map_of_what_it_finds(make, layer):
    torch.manual_seed(0)
    model = Model("net", make().eval(), Preprocessing((128, 128), None), LABELS)
    image = random_images(1, size=(90, 130))[0]
    [found] = camviz.explain(model, image, min_score=0.01, method="hirescam")
    assert layer in found.layer
    assert min(found.values.shape) >= 4
    assert np.abs(found.values).max() > 0
    assert found.target.partition(",")[0] in LABELS
    mark = found.marks[0]
    assert mark.region is not None if make is segformer else mark.box is not None
