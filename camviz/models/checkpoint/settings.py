"""What a training program stored beside the weights: preprocessing, class names, hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from camviz.models.checkpoint.content import Weights, settings_note
from camviz.models.checkpoint.fitting import fit
from camviz.types import Model, Preprocessing

if TYPE_CHECKING:
    from torch import nn

_MEANS = ("mean", "image_mean", "norm_mean", "pixel_mean", "normalize_mean")
_STDS = ("std", "image_std", "norm_std", "pixel_std", "normalize_std")
_SIZES = ("input_size", "img_size", "image_size", "crop_size", "val_crop_size", "imgsz")
_SOURCE = "from the checkpoint"
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


def fitted_model(model: Model, weights: Weights, source: str) -> Model:
    """Return the model with the weights in it, and with the preprocessing and class names that the file has.

    Raises `CheckpointError` where the weights do not fit, or where layers would stay untrained.
    """
    fitted, changed = fit(model.module, weights.state, source, model.name)
    how, said = stored_preprocessing(weights.settings, model.preprocessing)
    notes = [*model.notes, *weights.notes, *changed, *settings_note(weights), *said]
    sources = {**model.sources, **({"preprocessing": _SOURCE} if said else {})}
    classes = _classes(model.module)
    labels = model.labels
    if weights.labels and classes in (0, len(weights.labels)):
        labels, sources["labels"] = weights.labels, _SOURCE
        shown = ", ".join(labels[:3]) + (", …" if len(labels) > 3 else "")
        notes.append(f"class names from the checkpoint: {shown} ({len(labels)})")
    elif classes not in (0, len(labels)) and changed:  # the names of other classes would be wrong
        labels = ()
    notes.append(f"checkpoint: {fitted.summary()}")
    return replace(model, preprocessing=how, labels=labels, notes=tuple(notes), fitted=fitted.counts, sources=sources)


def _classes(module: nn.Module) -> int:
    """How many scores the last layer gives; 0 when that is no simple layer."""
    from torch import nn

    layers = [part for part in module.modules() if isinstance(part, (nn.Linear, nn.Conv2d))]
    if not layers:
        return 0
    return layers[-1].out_features if isinstance(layers[-1], nn.Linear) else layers[-1].out_channels


def stored_preprocessing(settings: Mapping[str, Any], how: Preprocessing) -> tuple[Preprocessing, list[str]]:
    """Return the preprocessing with what the settings say of it (timm's train.py, Lightning), and a note on that."""
    nested = [value for value in settings.values() if isinstance(value, Mapping)]
    merged = {key: value for group in (*nested, settings) for key, value in group.items() if value is not None}
    said = []
    mean, std = (_numbers(merged, names) for names in (_MEANS, _STDS))
    if mean and std and len(mean) == len(std) and all(std):
        if max(mean) > 1 or max(std) > 1:  # of pixels from 0 to 255
            mean, std = tuple(value / 255 for value in mean), tuple(value / 255 for value in std)
        how = replace(how, mean=mean, std=std)
        said.append(f"mean {_text(mean)}, std {_text(std)}")
    if size := _size(merged):
        old = how.resize if isinstance(how.resize, int) else min(how.crop)
        resize = round(min(size) * old / min(how.crop))
        if isinstance(share := merged.get("crop_pct"), (int, float)) and 0 < share <= 1:
            resize = int(min(size) / share)
            said.append(f"crop {share:g}")
        how = replace(how, crop=size, resize=resize)
        said.append(f"size {size[1]}×{size[0]}")
    if (interpolation := merged.get("interpolation")) in _INTERPOLATIONS:
        how = replace(how, interpolation=interpolation)
        said.append(str(interpolation))
    return how, [f"preprocessing from the checkpoint: {', '.join(said)}"] if said else []


def _numbers(settings: Mapping[str, Any], names: tuple[str, ...]) -> tuple[float, ...]:
    value = next((settings[name] for name in names if isinstance(settings.get(name), (list, tuple))), ())
    plain = all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in value)
    return tuple(float(number) for number in value) if plain and 1 <= len(value) <= 4 else ()


def _size(settings: Mapping[str, Any]) -> tuple[int, int] | None:
    """(height, width) from a number, a pair, or (channels, height, width)."""
    for name in _SIZES:
        value = settings.get(name)
        sides = [value, value] if isinstance(value, int) else list(value) if isinstance(value, (list, tuple)) else []
        if len(sides) in (2, 3) and all(type(side) is int and 8 <= side <= 8192 for side in sides[-2:]):
            return int(sides[-2]), int(sides[-1])
    return None


def _text(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:.4g}" for value in values)
