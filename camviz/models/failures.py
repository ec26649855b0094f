"""Errors of a forward, in words: only a shape error speaks of the size, and it names one that works."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import nn

from camviz.errors import CODE, ModelError
from camviz.hooks.capture import borrowed
from camviz.hooks.meta import on_meta
from camviz.models.adapters import positional
from camviz.models.channels import check_dimensions
from camviz.models.stated import known_size

_SIZES = (224, 256, 384, 299, 512, 448, 336, 128, 96, 64, 32, 28, 518, 640)  # tried, the usual ones first
_TOO = "does not accept an input of"
_SHAPES = re.compile(
    r"size|shape|height|width|dimension|expand|must match|too small|broadcast|reshape|view|mat1|not divisible|"
    r"invalid for input"
)


def failure(module: nn.Module, name: str, channels: int, size: tuple[int, int], error: Exception) -> ModelError:
    """Return the error for a forward over an input of (height, width) that raised `error`."""
    text = str(error).strip().partition("\n")[0]
    lower = text.lower()
    missing = re.search(r"(\w+)\.forward\(\) missing \d+ required (?:positional|keyword-only) arguments?: (.+)$", text)
    if missing and missing[1] == type(module).__name__:
        names = re.findall(r"'(\w+)'", missing[2])
        options = " ".join(f"--input {argument}=FILE" for argument in names)
        return ModelError(
            f"the forward of {name} takes more than a batch of images: {', '.join(names)}",
            f"{options} (an image, an array or a number), or write beside {type(module).__name__}, in its file"
            + description(module, names, channels, size),
        )
    if any(word in lower for word in ("cuda", "nvidia")) or "same device" in lower:
        return ModelError(
            f"the forward of {name} asks for a device of its own: {text}",
            "replace .cuda() by .to(x.device) in its code, or use --device cuda on a machine with a GPU",
        )
    if any(word in lower for word in ("dtype", "halftensor", "doubletensor", "bias type", "scalar type")):
        return ModelError(
            f"the forward of {name} mixes precisions: {text}", "convert all of it: model.float() where it is built"
        )
    check_dimensions(module, name)
    shaped = isinstance(error, (RuntimeError, AssertionError, ValueError)) and bool(_SHAPES.search(lower) or not text)
    if not shaped:
        kind = type(error).__name__
        return ModelError(
            f"the forward of {name} failed: {kind}: {text or 'no message'}",
            f"forward must run on torch.zeros(1, {channels}, {size[0]}, {size[1]}); else write beside "
            f"{type(module).__name__}, in its file{description(module, (), channels, size)}",
        )
    message = f"{name} {_TOO} {size[1]}×{size[0]}: {text or type(error).__name__}"
    works = working_size(module, channels, size)
    if works is None:
        return ModelError(
            message,
            f"--input-size WIDTHxHEIGHT sets another size; for other arguments write beside {type(module).__name__}, "
            f"in its file{description(module, (), channels, size)}",
        )
    height, width = works
    return ModelError(message, f"--input-size {width if width == height else f'{width}x{height}'}")


def description(module: nn.Module, missing: Sequence[str], channels: int, size: tuple[int, int]) -> str:
    """Return the lines by which the file of a model describes it, with the arguments of its forward filled in."""
    names = positional(module) or ["x"]
    batch = next((argument for argument in names if argument not in missing), names[0])
    values = {batch: "batch", **{argument: "torch.zeros_like(batch)" for argument in missing if argument != batch}}
    arguments = ", ".join(f'"{argument}": {value}' for argument, value in values.items())
    others = ", ".join(argument for argument in names if argument not in values)
    gray = "transforms.Grayscale(), " if channels == 1 else ""
    return CODE + "\n".join(
        [
            'labels = ["first class", "second class"]  # or the path of a file',
            "preprocess = transforms.Compose(",
            f"    [{gray}transforms.Resize(({size[0]}, {size[1]})), transforms.ToTensor()]",
            ")  # of torchvision, timm or albumentations, or a function of a PIL image",
            f"def inputs(batch):  # a tensor (n, {channels}, {size[0]}, {size[1]})",
            f"    return {{{arguments}}}{f'  # optional: {others}' if others else ''}",
            "def outputs(raw):  # what forward returns",
            '    return raw  # logits (n, classes), or raw["logits"]; every line is optional',
        ]
    )


def is_about_size(error: ModelError) -> bool:
    """Return whether another input size may help."""
    return _TOO in error.message


def working_size(module: nn.Module, channels: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return a (height, width) that the module states or accepts, other than `size`; None when none is found."""
    stated = known_size(module)
    candidates = [*([stated[0]] if stated else []), *((side, side) for side in _SIZES)]
    return next((other for other in candidates if other != size and _accepts(module, channels, other)), None)


def _accepts(module: nn.Module, channels: int, size: tuple[int, int]) -> bool:
    try:
        with borrowed(module), torch.no_grad(), on_meta(module):
            module(torch.zeros((1, channels, *size), device="meta"))
    except Exception:  # any failure means that this size does not do
        return False
    return True
