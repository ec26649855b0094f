"""Small networks of transformers by name, from configurations alone: no network, no weights, milliseconds."""

from __future__ import annotations

from typing import Any

_PATCHES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 8,
}
_DEEPER = {**_PATCHES, "num_hidden_layers": 4}
_DINO = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 56, "patch_size": 7}
_WINDOWS = {"image_size": 128, "patch_size": 4, "embed_dim": 16, "depths": [1, 1, 2], "num_heads": [1, 2, 4]}
_STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
_HEADS = {"num_attention_heads": [1, 1, 2, 2]}
_MOBILE = {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 64], "image_size": 128}
_RESIDUAL = {**_STAGES, "embedding_size": 8, "layer_type": "basic"}
_DETECTS = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "num_queries": 10,
}

# the architecture without its head: (configuration class, its settings)
CLASSIFIERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViT": ("ViTConfig", _PATCHES),
    "DeiT": ("DeiTConfig", _PATCHES),
    "Beit": ("BeitConfig", _PATCHES),
    "Dinov2": ("Dinov2Config", _DINO),
    "Dinov2WithRegisters": ("Dinov2WithRegistersConfig", _DINO),
    "Siglip": ("SiglipConfig", {"vision_config": _PATCHES}),
    "Swin": ("SwinConfig", {**_WINDOWS, "window_size": 4}),
    "Swinv2": ("Swinv2Config", {**_WINDOWS, "window_size": 4}),
    "ConvNext": ("ConvNextConfig", _STAGES),
    "ConvNextV2": ("ConvNextV2Config", _STAGES),
    "ResNet": ("ResNetConfig", _RESIDUAL),
    "RegNet": ("RegNetConfig", {**_RESIDUAL, "layer_type": "x", "groups_width": 8}),
    "MobileNetV1": ("MobileNetV1Config", {"depth_multiplier": 0.25}),
    "MobileNetV2": ("MobileNetV2Config", {"depth_multiplier": 0.35}),
    "MobileViT": ("MobileViTConfig", _MOBILE),
    "MobileViTV2": ("MobileViTV2Config", {"width_multiplier": 0.5, "image_size": 128}),
    "Segformer": ("SegformerConfig", {**_STAGES, **_HEADS}),
    "Levit": (
        "LevitConfig",
        {"hidden_sizes": [16, 32, 48], "num_attention_heads": [1, 2, 3], "depths": [1, 1, 1], "key_dim": [8, 8, 8]},
    ),
    "Pvt": ("PvtConfig", {**_STAGES, **_HEADS, "image_size": 128}),
    "PvtV2": ("PvtV2Config", {**_STAGES, **_HEADS, "image_size": 128}),
    "Cvt": ("CvtConfig", {"embed_dim": [8, 16, 24], "depth": [1, 2, 3], "num_heads": [1, 1, 2]}),
    "PoolFormer": ("PoolFormerConfig", _STAGES),
    "FocalNet": ("FocalNetConfig", {"image_size": 128, "embed_dim": 16, "depths": [1, 1, 1, 1]}),
    "Bit": ("BitConfig", {**_STAGES, "hidden_sizes": [16, 16, 32, 32], "embedding_size": 8, "num_groups": 4}),
    "Hiera": ("HieraConfig", {"image_size": [128, 128], "embed_dim": 16, "depths": [1, 1, 2, 1]}),
}
SEGMENTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Segformer": ("SegformerConfig", {**_STAGES, **_HEADS, "decoder_hidden_size": 16}),
    "UperNet": (
        "UperNetConfig",
        {
            "backbone_config": ("ConvNextConfig", {**_STAGES, "out_features": [f"stage{i}" for i in (1, 2, 3, 4)]}),
            "hidden_size": 16,
            "auxiliary_channels": 8,
        },
    ),
    "MobileViT": ("MobileViTConfig", {**_MOBILE, "aspp_out_channels": 16}),
    "Beit": ("BeitConfig", {**_DEEPER, "out_indices": [1, 2, 3, 4]}),
    "DPT": (
        "DPTConfig",
        {
            **_DEEPER,
            "backbone_out_indices": [0, 1, 2, 3],
            "neck_hidden_sizes": [8, 8, 16, 16],
            "fusion_hidden_size": 8,
        },
    ),
}
_BACKBONE = {"use_timm_backbone": False, "backbone": None}
_LAST = ("ResNetConfig", {**_RESIDUAL, "out_features": ["stage4"]})
_THREE = ("ResNetConfig", {**_RESIDUAL, "out_features": ["stage2", "stage3", "stage4"]})
DETECTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "Detr": ("DetrConfig", {**_BACKBONE, **_DETECTS, "backbone_config": _LAST}),
    "ConditionalDetr": ("ConditionalDetrConfig", {**_BACKBONE, **_DETECTS, "backbone_config": _LAST}),
    "DeformableDetr": (
        "DeformableDetrConfig",
        {**_BACKBONE, **_DETECTS, "backbone_config": _THREE, "num_feature_levels": 3},
    ),
    "Yolos": ("YolosConfig", {**_PATCHES, "image_size": [64, 64], "num_detection_tokens": 10}),
    "RTDetr": ("RTDetrConfig", {"num_queries": 20, "decoder_layers": 2}),
}
_ENDS = {"ForImageClassification": CLASSIFIERS, "ForSemanticSegmentation": SEGMENTERS, "ForObjectDetection": DETECTORS}


def configuration(architecture: str, **settings: Any) -> Any:
    """The configuration of, say, "ViTForImageClassification", with further settings."""
    end = next(end for end in _ENDS if architecture.endswith(end))
    made = _made(*_ENDS[end][architecture.removesuffix(end)], **settings)
    made.architectures = [architecture]
    return made


def _made(kind: str, given: dict[str, Any], **settings: Any) -> Any:
    import transformers

    parts = {key: _made(*value) if isinstance(value, tuple) else value for key, value in given.items()}
    return getattr(transformers, kind)(**parts, **settings)
