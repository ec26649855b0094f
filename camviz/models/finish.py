"""The preprocessing and class names of a built model: requested, stated by the module, or assumed and reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from camviz.errors import RequestError
from camviz.models.backbones import feature_pyramid
from camviz.models.channels import check_dimensions, initialize, input_channels
from camviz.models.labels import read_labels
from camviz.models.preprocess import MOST_CHANNELS
from camviz.models.stated import known_size, stated
from camviz.types import Model, ModelRequest, Preprocessing

_ASSUMED = "assumed"


def finish(model: Model, request: ModelRequest) -> Model:
    """Return the model with the preprocessing, class names and task that the request, or the module, asks for."""
    model = feature_pyramid(model, request.output_key)
    if model.preprocessing.function is not None:
        return _with_function(model, request)
    model = _with_statement(model, request)
    how = _sized(model.preprocessing, request)
    if initialize(model.module, how.crop):
        model = replace(model, notes=(*model.notes, "lazy layers got their shapes from a first forward, untrained"))
    check_dimensions(model.module, model.name)
    channels = input_channels(model.module, how.crop)
    how = _of_channels(how, channels)
    if request.order == "bgr" and channels in (1, 2):
        raise RequestError(f"--channel-order bgr: {model.name} sees no colors", "leave it out")
    if request.order == "bgr":  # else as its source has it
        how = replace(how, order="bgr")
    if request.window:
        low, high = request.window
        if high <= low:
            raise RequestError(f"--window {low:g},{high:g}: the second number must be larger", "--window 0,4095")
        how = replace(how, window=request.window)
    how, note = _normalization(how, request, channels)
    sources = dict(model.sources)
    if request.task:
        sources["task"] = "given"
    if request.labels:
        sources["labels"] = "given"
    notes = [*model.notes, *([note] if note else [])]
    if sources.get("preprocessing", "").startswith(_ASSUMED) and channels <= MOST_CHANNELS:
        assumed = _assumption(how, request, sources["preprocessing"])
        notes += [assumed] if assumed else []
    return replace(
        model,
        preprocessing=how,
        labels=read_labels(Path(request.labels)) if request.labels else model.labels,
        task=request.task or model.task,
        output_key=request.output_key or model.output_key,
        sources=sources,
        notes=tuple(notes),
    )


def describe_input(model: Model) -> str:
    """Return size, channels and normalization of the input in a line, and how they were found."""
    how = model.preprocessing
    source = model.sources.get("preprocessing", "from the model")
    if how.function is not None:
        return f"its own preprocessing function ({source})"
    mean, std = (",".join(f"{value:g}" for value in values) for values in (how.mean, how.std))
    channels = f"{len(how.mean)} channel{'s' if len(how.mean) != 1 else ''}"
    return f"{how.crop[1]}×{how.crop[0]}, {channels}, mean {mean}, std {std} ({source})"


def _with_function(model: Model, request: ModelRequest) -> Model:
    """Return a model that has its own preprocessing function."""
    if request.input_size or request.mean or request.std or request.range:
        raise RequestError(
            f"{model.name} has its own preprocessing function, which sets size, mean and std",
            "change it there, or leave --input-size, --mean, --std and --range out",
        )
    return replace(
        model,
        labels=read_labels(Path(request.labels)) if request.labels else model.labels,
        task=request.task or model.task,
        output_key=request.output_key or model.output_key,
        sources={"preprocessing": "given", **model.sources, **({"task": "given"} if request.task else {})},
    )


def _with_statement(model: Model, request: ModelRequest) -> Model:
    """Return the model with what its module states, where its source knows no preprocessing."""
    known = model.preprocessing is not Model.preprocessing  # a source that has one replaces the default object
    facts = stated(model.module)
    if known and not (facts and facts.source == "from its transform"):
        return replace(model, sources={"preprocessing": "from the model", **model.sources})
    if facts:
        note = () if known else (f"preprocessing {facts.source}",)
        return replace(
            model,
            preprocessing=facts.preprocessing,
            labels=model.labels or facts.labels,
            task=model.task or facts.task,
            sources={"preprocessing": facts.source, **model.sources},
            notes=(*model.notes, *note),
        )
    how, source = model.preprocessing, _ASSUMED
    size = known_size(model.module)
    if size and not request.input_size:
        (height, width), where = size
        how = replace(how, crop=(height, width), resize=height if height == width else (height, width))
        source = f"{_ASSUMED}, size {where}"
    return replace(model, preprocessing=how, sources={"preprocessing": source, **model.sources})


def _assumption(how: Preprocessing, request: ModelRequest, source: str) -> str:
    """Return what is said about an assumed preprocessing, "" where all of it is given."""
    parts = []
    if not (request.mean and request.std) and not request.range:
        imagenet = how.mean[:3] == Preprocessing().mean
        parts.append("ImageNet mean/std" if imagenet else f"mean {how.mean[0]:g}, std {how.std[0]:g}")
    if not request.input_size and source == _ASSUMED:
        height, width = how.crop
        parts.append(str(width) if height == width else f"{width}×{height}")
    where = source.partition(", ")[2]
    known = f" ({where}: {how.crop[1]}×{how.crop[0]})" if where and not request.input_size else ""
    return f"preprocessing assumed: {', '.join(parts)}{known}; --mean and --std set it" if parts else ""


def _sized(how: Preprocessing, request: ModelRequest) -> Preprocessing:
    if not request.input_size:
        return how
    width, height = request.input_size
    longest = how.longest and max(width, height, how.longest * min(width, height) // min(how.crop))
    return replace(how, crop=(how.frames * height, width), resize=how.resize and min(width, height), longest=longest)


def _of_channels(how: Preprocessing, channels: int) -> Preprocessing:
    """Return the preprocessing for a number of channels: gray, and an alpha channel, are 0 to 1."""
    if len(how.mean) == channels:
        return how
    if channels == 4 and len(how.mean) == 3:
        return replace(how, mean=(*how.mean, 0.0), std=(*how.std, 1.0))
    if channels == 1 and len(set(how.mean)) == len(set(how.std)) == 1:
        return replace(how, mean=how.mean[:1], std=how.std[:1])
    return replace(how, mean=(0.0,) * channels, std=(1.0,) * channels)


def _normalization(how: Preprocessing, request: ModelRequest, channels: int) -> tuple[Preprocessing, str]:
    """Return the preprocessing with the requested mean, std and range for pixels of 0 to 1, and a note."""
    low, high = request.range or (0.0, 1.0)
    if not (request.mean or request.std or request.range):
        return how, ""
    if high <= low:
        raise RequestError(f"--range {low:g},{high:g}: the second number must be larger", "--range -1024,1024")
    usual = ((0.0,), (1.0,)) if request.range else (how.mean, how.std)
    mean, std = (
        values * channels if len(values) == 1 else values
        for values in (request.mean or usual[0], request.std or usual[1])
    )
    if not len(mean) == len(std) == channels:
        raise RequestError(
            f"--mean has {len(mean)} value(s) and --std {len(std)}, for {channels} channel(s)",
            "--mean 0.5,0.5,0.5 --std 0.5,0.5,0.5, or one value for all",
        )
    if any(value == 0 for value in std):
        raise RequestError("--std has a zero in it", "1 leaves a channel as it is")
    note = ""
    if not request.range and (max(map(abs, mean)) > 2 or max(map(abs, std)) > 2):
        if not (request.mean and request.std) or (max(map(abs, mean)) > 2 and max(std) < 1):
            texts = [
                f"{name} {','.join(f'{v:g}' for v in values)}" for name, values in (("--mean", mean), ("--std", std))
            ]
            raise RequestError(
                f"{' and '.join(texts)} are not of one scale: for pixels of 0 to 255, or of 0 to 1?",
                "--mean 123.675,116.28,103.53 --std 58.395,57.12,57.375, or both divided by 255",
            )
        high = 255.0
        note = "--mean and --std are of pixels of 0 to 255: divided by 255"
    scaled = tuple((value - low) / (high - low) for value in mean), tuple(value / (high - low) for value in std)
    return replace(how, mean=scaled[0], std=scaled[1]), note
