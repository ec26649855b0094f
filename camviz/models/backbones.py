"""Image backbones of transformers: a forward from images alone to one embedding per image."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from camviz.types import Model

_CLASS_TOKENS = ("cls_token", "class_token", "class_embedding", "cls_tokens")  # names of parameters
_POOLED = ("image_embeds", "pooler_output", "pooled_output")  # parts of an output, the first that is there
_TOKENS = ("last_hidden_state", "feature_maps", "hidden_states", "reconstruction")


def takes_images(module: Any, embedding: bool) -> nn.Module:
    """Return the module with a forward from images (n, 3, H, W) alone, at any size that its positions allow.

    With `embedding` it returns one vector per image (n, d), see `embedding_of`. Only its class changes, so that layers
    keep their paths and copies hold no reference to the original.
    """
    kind = type(module)
    if hasattr(module.config, "mask_ratio"):
        module.config.mask_ratio = 0.0  # of a masked autoencoder: all patches
    call: Callable[..., Any] = kind.get_image_features if _has_words(module) else kind.forward
    accepted = frozenset(inspect.signature(call).parameters)

    def forward(self: Any, images: Tensor) -> Any:
        output = call(self, **_arguments(self, images, accepted))
        return embedding_of(self, output) if embedding else output

    module.__class__ = type(kind.__name__, (kind,), {"forward": forward})
    made: nn.Module = module
    return made


def feature_pyramid(model: Model, output_key: str = "") -> Model:
    """Return a model of timm that outputs feature maps (`features_only`) as one of embeddings: the mean of the last.

    Any other model, and one whose output is read otherwise, is returned as it is.
    """
    from camviz.models.adapters import adapt, adapter_of

    info = getattr(model.module, "feature_info", None)
    made = type(model.module).__module__.startswith("timm.models._features")
    if info is None or not made or adapter_of(model.module).outputs or output_key:
        return model
    channels = info.channels()[-1]

    def last(maps: Any) -> Tensor:
        features: Tensor = list(maps.values() if isinstance(maps, Mapping) else maps)[-1]
        return features.flatten(2).mean(2) if features.shape[1] == channels else features.flatten(1, -2).mean(1)

    adapt(model.module, outputs=last)
    return replace(model, task=model.task or "embedding", labels=())


def _has_words(module: Any) -> bool:
    return hasattr(module, "get_image_features") and hasattr(module, "get_text_features")


def embedding_of(module: nn.Module, output: Any) -> Tensor:
    """Return the embedding (n, d): the pooled output, else the class token, else the mean over all positions."""
    import torch

    if isinstance(output, torch.Tensor):
        return _pooled(module, output)
    parts = output if isinstance(output, Mapping) else dict(enumerate(output))
    for name in (*_POOLED, *_TOKENS, *parts):
        part = parts.get(name)
        part = part[-1] if isinstance(part, (list, tuple)) and part else part
        if isinstance(part, torch.Tensor):
            return _pooled(module, part)
    raise TypeError(f"the output of {type(module).__name__} has no tensor")


def _pooled(module: nn.Module, tensor: Tensor) -> Tensor:
    """Return (n, d) of (n, d), tokens (n, N, d) or maps (n, d, h, w)."""
    if tensor.ndim == 4:
        return tensor.flatten(2).mean(2)
    if tensor.ndim == 3:
        return tensor[:, 0] if has_class_token(module) else tensor.mean(1)
    return tensor


def has_class_token(module: nn.Module) -> bool:
    """Return whether the module has a parameter that is a class token."""
    names = {name.removesuffix(".weight").rpartition(".")[2] for name, _ in module.named_parameters()}
    return not names.isdisjoint(_CLASS_TOKENS)


def _arguments(module: Any, images: Tensor, accepted: frozenset[str]) -> dict[str, Any]:
    """Return the arguments of a forward for images (n, 3, H, W): what a processor would add beside the pixels."""
    import torch

    config = getattr(module.config, "vision_config", module.config)
    count, _, height, width = images.shape
    arguments: dict[str, Any] = {"pixel_values": images}
    if "spatial_shapes" in accepted:  # patches in reading order instead of images
        side = config.patch_size
        rows, columns = height // side, width // side
        arguments["pixel_values"] = _patches(images, side)
        mask = "pixel_attention_mask" if "pixel_attention_mask" in accepted else "attention_mask"
        arguments[mask] = torch.ones((count, rows * columns), dtype=torch.int64, device=images.device)
        arguments["spatial_shapes"] = torch.tensor([[rows, columns]] * count, device=images.device)
    if "interpolate_pos_encoding" in accepted and (height, width) != _size(config):
        arguments["interpolate_pos_encoding"] = True
    if "noise" in accepted and hasattr(config, "mask_ratio"):  # sorts the patches: in reading order
        side = config.patch_size
        number = (height // side) * (width // side)
        arguments["noise"] = torch.arange(number, device=images.device).float().expand(count, -1)
    return arguments


def _patches(images: Tensor, side: int) -> Tensor:
    """Return images (n, c, H, W) as flat patches (n, h·w, side·side·c), colors last."""
    patches = images.unfold(2, side, side).unfold(3, side, side)  # (n, c, h, w, side, side)
    return patches.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


def _size(config: Any) -> tuple[int, int] | None:
    side = getattr(config, "image_size", None)
    if isinstance(side, (list, tuple)):
        return int(side[0]), int(side[1])
    return None if side is None else (int(side), int(side))
