"""What a module states about its inputs: preprocessing, class names, size, read from the library that built it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from camviz.models import detectors
from camviz.types import Preprocessing

if TYPE_CHECKING:
    from torch import nn

_POSITIONS = (
    "pos_embed",
    "pos_embedding",
    "position_embedding",
    "position_embeddings",
    "positional_embedding",
    "absolute_pos_embed",
)
_MOST_PREFIX = 5  # class, distillation and register tokens in a position table


@dataclass(frozen=True)
class Stated:
    """What was found, and where."""

    source: str
    preprocessing: Preprocessing
    labels: tuple[str, ...] = ()
    task: str = ""


def stated(module: nn.Module) -> Stated | None:
    """Return what the module states, None for a module of no known library."""
    readers: tuple[Callable[[nn.Module], Stated | None], ...] = (
        _torchvision,
        _torchxrayvision,
        _ultralytics,
        _timm,
        _transformers,
    )
    return next((facts for read in readers if (facts := read(module))), None)


def from_configuration(config: Mapping[str, Any]) -> Preprocessing:
    """Return the preprocessing of a configuration of timm, or of the arguments of its training script.

    As timm's evaluation transform: resized to floor(size / crop_pct), center crop.
    """
    size = tuple(int(side) for side in config.get("input_size") or (3, 224, 224))[-2:]
    crop = (size[0], size[1])
    share = float(config.get("crop_pct") or 0.875)
    enlarged = (math.floor(crop[0] / share), math.floor(crop[1] / share))
    centered = (config.get("crop_mode") or "center") == "center" and enlarged[0] == enlarged[1]
    interpolation = str(config.get("interpolation") or "bicubic")
    if interpolation not in ("nearest", "bilinear", "bicubic", "lanczos"):
        interpolation = "bicubic"
    usual = Preprocessing()
    return Preprocessing(
        crop,
        enlarged[0] if centered else enlarged,
        tuple(config.get("mean") or usual.mean),
        tuple(config.get("std") or usual.std),
        cast('Literal["nearest", "bilinear", "bicubic", "lanczos"]', interpolation),
    )


def _torchvision(module: nn.Module) -> Stated | None:
    how = detectors.preprocessing_of(module)
    return Stated("from its transform", how) if how else None


def _timm(module: nn.Module) -> Stated | None:
    """Read `pretrained_cfg`, of the module or of its backbone."""
    for path, part in module.named_modules():
        config = getattr(part, "pretrained_cfg", None) or getattr(part, "default_cfg", None)
        if not isinstance(config, Mapping) or "input_size" not in config:
            continue
        how = from_configuration(config)
        side = attribute_size(part)
        if side and side != how.crop:
            how = replace(how, crop=side, resize=side[0] if side[0] == side[1] else side)
        names = config.get("label_names") or ()
        classes = getattr(part, "num_classes", 0)
        if not path and not names and classes == config.get("num_classes"):
            from camviz.models.timm_names import class_names

            names = class_names(int(classes or 0))
        source = f"from {path}.pretrained_cfg" if path else "from pretrained_cfg"
        task = "embedding" if not path and getattr(part, "num_classes", None) == 0 else ""
        return Stated(source, how, () if path else tuple(map(str, names)), task)
    return None


def _transformers(module: nn.Module) -> Stated | None:
    """Read the configuration of a model of transformers, and the image processor of its folder or kind."""
    from camviz.models.image_processors import preprocessing_of
    from camviz.models.labels import from_id2label

    for path, part in module.named_modules():
        config = getattr(part, "config", None)
        if not _from_library(part, "transformers") or not hasattr(config, "model_type"):
            continue
        folder = Path(str(getattr(config, "_name_or_path", "")) or "no folder")
        how, kind = preprocessing_of(folder, config, type(part).__name__)
        problem = {"regression": "regression", "multi_label_classification": "multilabel"}
        task = problem.get(str(getattr(config, "problem_type", "")), "")
        labels = from_id2label(getattr(config, "id2label", None) or {})
        source = f"from its config: {kind}" if kind else f"from {folder}"
        return Stated(source, how, () if path else labels, "" if path else task)
    return None


def _torchxrayvision(module: nn.Module) -> Stated | None:
    """torchxrayvision: one channel of -1024 to 1024, the labels in `targets`."""
    if not _from_library(module, "torchxrayvision"):
        return None
    side = 512 if "ResNet" in type(module).__name__ else 224
    names = getattr(module, "targets", None) or getattr(module, "pathologies", None) or ()
    labels = tuple(str(name) or f"class {i}" for i, name in enumerate(names))
    how = Preprocessing((side, side), side, (0.5,), (1 / 2048,))
    return Stated("from torchxrayvision: pixels of -1024 to 1024", how, labels, "multilabel")


def _ultralytics(module: nn.Module) -> Stated | None:
    """ultralytics: 0 to 1; a letterbox, a center crop for a classifier, squashed for RT-DETR; the labels in `names`."""
    if not _from_library(module, "ultralytics"):
        return None
    names = getattr(module, "names", None) or {}
    labels = tuple(map(str, names.values() if isinstance(names, Mapping) else names))
    zero, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    kind = type(module).__name__
    settings = getattr(module, "args", None) or {}
    settings = settings if isinstance(settings, Mapping) else vars(settings)
    side = settings.get("imgsz") or (224 if "Classification" in kind else 640)
    side = max(side) if isinstance(side, (tuple, list)) else int(side)
    if "Classification" in kind:
        return Stated("from ultralytics", Preprocessing((side, side), side, zero, one), labels, "classification")
    gray = (114 / 255, 114 / 255, 114 / 255)
    how = Preprocessing((side, side), side, zero, one, "linear", side, 32, True, fill=gray)
    if "RTDETR" in kind:
        how = Preprocessing((side, side), None, zero, one, "linear")
    return Stated("from ultralytics", how, labels)


def _from_library(module: nn.Module, library: str) -> bool:
    return any(kind.__module__.partition(".")[0] == library for kind in type(module).__mro__)


def known_size(module: nn.Module) -> tuple[tuple[int, int], str] | None:
    """Return the (height, width) that a module takes, and where it states that; None where it does not."""
    for path, part in module.named_modules():
        side = attribute_size(part)
        if side:
            return side, f"from {f'{path}.' if path else ''}image_size"
    return _from_positions(module)


def attribute_size(module: nn.Module) -> tuple[int, int] | None:
    """Return the (height, width) in `image_size`, `img_size` or the configuration of a module."""
    for holder in (module, getattr(module, "config", None), getattr(module, "patch_embed", None)):
        for name in ("image_size", "img_size"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and value > 0:
                return value, value
            if isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(v, int) for v in value):
                return value[0], value[1]
    return None


def _from_positions(module: nn.Module) -> tuple[tuple[int, int], str] | None:
    """Return the square size whose patches fill a table of position embeddings."""
    from torch import nn

    patches = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    if patches is None or patches.kernel_size != patches.stride:
        return None
    step = int(patches.stride[0])
    tables = [*module.named_parameters(), *module.named_buffers()]
    for path, table in tables:
        names = path.removesuffix(".weight").split(".")
        if names[-1] not in _POSITIONS or not 2 <= table.ndim <= 3:
            continue
        count = int(table.shape[-2])
        for prefix in range(_MOST_PREFIX + 1):
            side = isqrt(max(count - prefix, 0))
            if side > 1 and side * side == count - prefix:
                return (side * step, side * step), f"from position embeddings '{path}'"
    return None
