"""State dicts of libraries get a guess."""

from __future__ import annotations

import pytest
import torch

import camviz
from camviz.errors import CheckpointError

LIBRARIES = {
    "segmentation_models_pytorch": [
        "encoder.conv1.weight",
        "decoder.blocks.0.conv1.0.weight",
        "segmentation_head.0.weight",
    ],
    "efficientnet_pytorch": ["_conv_stem.weight", "_blocks.0._depthwise_conv.weight", "_fc.weight"],
    "open_clip": ["visual.transformer.resblocks.0.attn.in_proj_weight", "text_projection", "logit_scale"],
    "MONAI": ["features.denseblock1.denselayer1.layers.norm1.weight", "class_layers.out.weight"],
    "fastai": ["0.0.weight", "0.4.0.conv1.weight", "1.2.weight", "1.2.running_mean", "1.8.weight"],
    "ultralytics": ["model.0.conv.weight", "model.2.m.0.cv1.conv.weight", "model.22.dfl.conv.weight"],
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_state_dicts_of_libraries_get_a_guess(save, library):
    path = save({name: torch.ones(4, 3, 3, 3) for name in LIBRARIES[library]})
    with pytest.raises(CheckpointError, match=library) as caught:
        camviz.load(path)
    assert "write net.py" in caught.value.hint
    with pytest.raises(CheckpointError) as caught:
        camviz.load("resnet18", checkpoint=path)
    assert library in caught.value.hint
