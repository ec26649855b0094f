"""Conversions between model inputs, images in [0, 1] and pixels, and a check for finite values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from camviz.errors import ModelError
from camviz.models.preprocess import prepare
from camviz.models.typed import layers_command
from camviz.types import Image, Model, Pixels, Preprocessing


def normalize(images: Tensor, how: Preprocessing) -> Tensor:
    """Normalize images (n, c, H, W) in [0, 1] for the model."""
    mean = torch.tensor(how.mean, device=images.device)[:, None, None]
    std = torch.tensor(how.std, device=images.device)[:, None, None]
    return (images - mean) / std


def imaged(inputs: Tensor, how: Preprocessing) -> Tensor:
    """Return images in [0, 1] from normalized inputs, quantized to 256 levels."""
    mean = torch.tensor(how.mean, device=inputs.device)[:, None, None]
    std = torch.tensor(how.std, device=inputs.device)[:, None, None]
    return as_written(inputs * std + mean)


def as_written(images: Tensor) -> Tensor:
    """Quantize images (n, c, H, W) to the 256 levels of a file, so that measurements match the written image."""
    return (images.clamp(0, 1) * 255).round() / 255


def to_pixels(images: Tensor) -> Pixels:
    """Convert images (n, 1 or 3, H, W) in [0, 1] to pixels (n, H, W, 3) uint8."""
    levels = (images.detach() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:3], 3)))


def from_image(image: Image, model: Model, height: int, width: int) -> Tensor:
    """Return the image as the model sees it, (1, c, height, width) in [0, 1]."""
    how = model.preprocessing
    if (height, width) != how.crop:
        how = replace(how, crop=(height, width), resize=max(height, width))
    channels = len(how.mean)
    values, _ = prepare(image, replace(how, mean=(0.0,) * channels, std=(1.0,) * channels))
    return torch.from_numpy(values)[None].to(model.device)


def check_finite(values: Tensor, what: str, model: Model, precision: str) -> None:
    """Raise `ModelError` that names `what` if a value is NaN or infinite."""
    if bool(torch.isfinite(values).all()):
        return
    hint = f"{layers_command(model)} lists other layers; --checkpoint FILE loads other weights"
    hint = hint if precision == "fp32" else "--precision fp32"
    raise ModelError(f"{what} of {model.name} gives NaN or infinite values", hint)
