"""Recognize the library that a state_dict comes from by its names, where camviz cannot build the model itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Guess:
    """A library, and the line of Python that builds such a model."""

    library: str
    line: str

    def hint(self, source: str) -> str:
        """What to type: a file with that line, and the checkpoint."""
        return f"looks like {self.library}: write net.py with '{self.line}', then --model net.py:model -c {source}"


_GUESSES = (  # (names that must all be present, as patterns; the guess)
    (
        (r"encoder\..*weight", r"decoder\.(blocks|p\d|aspp|block)", r"segmentation_head\.0\.weight"),
        Guess(
            "segmentation_models_pytorch",
            "import segmentation_models_pytorch as smp; model = smp.Unet('resnet34', classes=N)",
        ),
    ),
    (
        (r"_conv_stem\.weight", r"_blocks\.0\._depthwise_conv\.weight"),
        Guess(
            "efficientnet_pytorch",
            "from efficientnet_pytorch import EfficientNet; model = EfficientNet.from_name('efficientnet-b0')",
        ),
    ),
    (
        (r"(.*\.)?visual\.(transformer\.resblocks\.0|conv1|trunk|layer1)\b.*", r"(.*\.)?(logit_scale|text_projection)"),
        Guess(
            "open_clip", "import open_clip; model = open_clip.create_model('ViT-B-32')  # encode_image gives embeddings"
        ),
    ),
    (
        (r"model\.0\.conv\.unit0\.conv\.weight|model\.1\.submodule\..*weight",),
        Guess("MONAI (UNet)", "from monai.networks.nets import UNet; model = UNet(2, 3, N, (16, 32, 64), (2, 2))"),
    ),
    (
        (r"features\.denseblock1\.denselayer1\.layers\.norm1\.weight",),
        Guess("MONAI (DenseNet)", "from monai.networks.nets import DenseNet121; model = DenseNet121(2, 3, N)"),
    ),
    (
        (r"(convInit|conv_0|down_1|vit\.patch_embedding|swinViT|encoder1)\.(conv|convs|patch|layers|layer)\b.*weight",),
        Guess("MONAI", "from monai.networks import nets; model = nets.SegResNet(2, in_channels=3, out_channels=N)"),
    ),
    (
        (r"0\.0\.weight|0\.\d+\.0\.(conv1|0)\b.*weight", r"1\.\d+\.weight", r"1\.\d+\.running_mean"),
        Guess(
            "fastai",
            "from fastai.vision.all import create_vision_model, resnet34; model = create_vision_model(resnet34, N)",
        ),
    ),
    (
        (r"model\.0\.conv\.weight", r"model\.\d+\.(m\.0\.(cv1|conv)|cv1)\b.*weight"),
        Guess("ultralytics", "from ultralytics import YOLO; model = YOLO('yolov8n.yaml').model"),
    ),
    (
        (r"backbone\.bottom_up\.res2\..*",),
        Guess("detectron2", "from detectron2.modeling import build_model; model = build_model(cfg)"),
    ),
    (
        (r"backbone\..*", r"(decode_head|bbox_head|head)\.(conv_seg|fc|fcs|fc_cls)\b.*weight"),
        Guess("OpenMMLab", "from mmpretrain import get_model; model = get_model('CONFIG')"),
    ),
    (
        (r"(vit|swin|deit|dinov2|convnext|resnet|beit)\.(embeddings|embedder)\..*",),
        Guess(
            "transformers", "from transformers import AutoModelForImageClassification as A; model = A.from_config(C)"
        ),
    ),
    (
        (r"image_encoder\.blocks\.0\..*", r"mask_decoder\..*"),
        Guess(
            "Segment Anything", "from segment_anything import sam_model_registry; model = sam_model_registry['vit_b']()"
        ),
    ),
)


def looks_like(names: Iterable[str]) -> Guess | None:
    """Return the library whose models have such names, None where none does."""
    known = list(names)
    for patterns, guess in _GUESSES:
        if all(any(re.fullmatch(pattern, name) or re.match(pattern, name) for name in known) for pattern in patterns):
            return guess
    return None
