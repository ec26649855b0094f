"""The preprocessing of a transformers image processor, measured by running it on test images.

Processor classes differ in their settings (a crop percentage below a certain size, a second normalization, channels
in BGR order), but each amounts to a resize, a crop, and a scale and an offset per channel, which can be measured.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from camviz.errors import ModelError
from camviz.types import Order, Preprocessing

FILES = ("preprocessor_config.json", "processor_config.json")  # the second may or may not describe an image processor

_WIDTH, _HEIGHT = 730, 470  # an aspect ratio that no processor squashes to
_STEEP = 0.7  # share of a ramp along one axis; the rest along the other axis averages out the rounding to eight bits
_RESAMPLING: dict[int, Literal["nearest", "bilinear", "bicubic", "lanczos"]] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
}


def preprocessing_of(folder: Path, config: Any, spec: str) -> tuple[Preprocessing, str]:
    """Return the preprocessing of a saved model, and its origin where the folder has none, else "".

    Raises `ModelError` for a processor that cannot be loaded or measured.
    """
    from transformers import AutoImageProcessor

    settings = {"config": config, "trust_remote_code": False, "local_files_only": True}
    if _described(folder):
        try:
            processor = AutoImageProcessor.from_pretrained(folder, **settings)
        except Exception as error:
            raise _unusable(spec, "does not load", error) from error
        return measured(processor, spec), ""
    try:
        with tempfile.TemporaryDirectory() as empty:
            (Path(empty) / "preprocessor_config.json").write_text("{}")
            usual = measured(AutoImageProcessor.from_pretrained(empty, **settings), spec)
        whose = f"the default of {config.model_type}"
    except Exception:  # a model type without an image processor
        usual, whose = Preprocessing(), "ImageNet's"
    size = getattr(getattr(config, "vision_config", config), "image_size", None)
    if size and not usual.longest:
        height, width = (size, size) if isinstance(size, int) else size
        usual = replace(usual, crop=(height, width), resize=None)
    return usual, whose


def _described(folder: Path) -> bool:
    """Return whether the folder describes an image processor."""
    processor_file, shared_file = (folder / name for name in FILES)
    if processor_file.is_file() or not shared_file.is_file():
        return processor_file.is_file()
    try:
        return "image_processor" in json.loads(shared_file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError, TypeError):
        return False


def _unusable(spec: str, what: str, error: Exception | None = None) -> ModelError:
    reason = f": {str(error).strip().partition(chr(10))[0][:200]}" if error else ""
    return ModelError(
        f"the image processor of '{spec}' {what}{reason}", "--model net.py:NAME with --mean, --std and --input-size"
    )


def measured(processor: Any, spec: str) -> Preprocessing:
    """Measure a processor as a `Preprocessing`. Raises `ModelError` for one that does anything else."""
    order, mean, std = _colors(processor, spec)
    resample = getattr(processor, "resample", None)
    interpolation = _RESAMPLING.get(int(resample) if resample is not None else 2, "bilinear")
    return replace(_geometry(processor, order, mean, std, spec), interpolation=interpolation)


def _colors(processor: Any, spec: str) -> tuple[Order, tuple[float, float, float], tuple[float, float, float]]:
    """Measure channel order, mean and std on flat images, whose values become (x - mean) / std."""
    flat = np.zeros((4, _HEIGHT, _HEIGHT, 3), np.uint8)  # black, red, green, blue
    for color in range(3):
        flat[color + 1, :, :, color] = 255
    seen = [_run(processor, image, spec) for image in flat]
    black, *others = (values[:, values.shape[1] // 2, values.shape[2] // 2].astype(np.float64) for values in seen)
    effect = np.array(others) - black  # (input color, output channel)
    orders: tuple[tuple[Order, list[int]], ...] = (("rgb", [0, 1, 2]), ("bgr", [2, 1, 0]))
    for order, sources in orders:
        scale = effect[sources, range(3)]
        rest = effect.copy()
        rest[sources, range(3)] = 0
        if (scale > 0).all() and np.abs(rest).max() < 1e-4 * scale.min():
            return order, _three(-black / scale), _three(1 / scale)
    raise _unusable(spec, "mixes colors")


def _three(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 6) + 0.0 for value in values)  # no negative zero
    return red, green, blue


def _geometry(
    processor: Any, order: Order, mean: tuple[float, ...], std: tuple[float, ...], spec: str
) -> Preprocessing:
    """Measure resize and crop on an image whose colors encode coordinates."""
    ramp = np.ones((_HEIGHT, _WIDTH, 3), np.float64)  # blue marks image pixels, as opposed to padding
    x, y = (np.arange(_WIDTH) + 0.5) / _WIDTH, ((np.arange(_HEIGHT) + 0.5) / _HEIGHT)[:, None]
    ramp[..., 0], ramp[..., 1] = _STEEP * x + (1 - _STEEP) * y, _STEEP * y + (1 - _STEEP) * x
    values = _run(processor, np.round(255 * ramp).astype(np.uint8), spec)
    values = values * np.array(std)[:, None, None] + np.array(mean)[:, None, None]
    red, green, blue = values if order == "rgb" else values[::-1]
    height, width = red.shape
    shown = blue > 0.99
    rows, columns = shown.any(1), shown.any(0)
    across, down = _extent(red[rows][:, columns].mean(0)), _extent(green[rows][:, columns].mean(1))
    keeps_aspect = abs(across * _HEIGHT / _WIDTH - down) < 1
    if keeps_aspect and (height, width) == (round(down), round(across)):
        short = min(height, width)
        return Preprocessing((short, short), short, mean, std, longest=_longest(processor, short), order=order)
    if keeps_aspect:
        return Preprocessing((height, width), round(down), mean, std, order=order)
    resized = round(down), round(across)
    return Preprocessing((height, width), None if resized == (height, width) else resized, mean, std, order=order)


def _longest(processor: Any, short: int) -> int:
    """Return the longest side of a processor that keeps the whole image at its aspect ratio, as detectors do."""
    size = getattr(processor, "size", None) or {}
    return int(size.get("longest_edge") or 4 * short)


def _extent(line: NDArray[np.float64]) -> float:
    """Return the length of the whole resized image along an axis; `line` is the visible part of its ramp."""
    edge = len(line) // 8  # at the border resizing averages over fewer neighbors
    middle = line[edge : len(line) - edge]
    slope = np.polyfit(np.arange(len(middle)), middle, 1)[0]
    return float(_STEEP / slope) if slope > 0 else math.inf


def _run(processor: Any, image: NDArray[np.uint8], spec: str) -> NDArray[np.float64]:
    """Run the processor on an image and return (channels, height, width)."""
    from PIL import Image

    try:
        values = processor(images=Image.fromarray(image), return_tensors="np")["pixel_values"][0]
    except Exception as error:
        raise _unusable(spec, "fails", error) from error
    if np.ndim(values) != 3 or len(values) != 3:
        shape = "×".join(map(str, np.shape(values)))
        raise _unusable(spec, f"returns {shape}, not one image of three channels")
    return np.asarray(values, np.float64)
