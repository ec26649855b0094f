"""What the commands that paint pictures share: a model's pictures in 0…1, pixels, and words for numbers that fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from camviz.errors import NetworkError
from camviz.models.preprocess import prepare
from camviz.types import Model, Picture, Pixels, Preprocessing


def normalise(pictures: Tensor, how: Preprocessing) -> Tensor:
    """Pictures (n, c, H, W) in 0…1 as the network's input."""
    mean = torch.tensor(how.mean, device=pictures.device)[:, None, None]
    std = torch.tensor(how.std, device=pictures.device)[:, None, None]
    return (pictures - mean) / std


def pictured(inputs: Tensor, how: Preprocessing) -> Tensor:
    """The inverse of `normalise`, rounded to what a file can hold."""
    mean = torch.tensor(how.mean, device=inputs.device)[:, None, None]
    std = torch.tensor(how.std, device=inputs.device)[:, None, None]
    return as_written(inputs * std + mean)


def as_written(pictures: Tensor) -> Tensor:
    """Pictures (n, c, H, W) with the 256 levels of a file: what is measured is what is seen."""
    return (pictures.clamp(0, 1) * 255).round() / 255


def to_pixels(pictures: Tensor) -> Pixels:
    """Pictures (n, 1 or 3, H, W) in 0…1 as (n, H, W, 3) uint8."""
    levels = (pictures.detach() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:3], 3)))


def from_picture(picture: Picture, model: Model, height: int, width: int) -> Tensor:
    """The picture as the model is shown it, (1, c, height, width) in 0…1."""
    how = model.preprocessing
    if (height, width) != how.crop:
        how = replace(how, crop=(height, width), resize=max(height, width))
    channels = len(how.mean)
    values, _ = prepare(picture, replace(how, mean=(0.0,) * channels, std=(1.0,) * channels))
    return torch.from_numpy(values)[None].to(model.device)


def check_finite(values: Tensor, what: str, model: Model, precision: str) -> None:
    """Raise `NetworkError` that names `what` when not every value is a number."""
    if bool(torch.isfinite(values).all()):
        return
    hint = f"'camviz layers {model.name}' lists others; --checkpoint FILE gives other weights"
    hint = hint if precision == "fp32" else "--precision fp32"
    raise NetworkError(f"{what} of {model.name} gives NaN or infinite values", hint)
