"""What to type to name a model again: for hints that can be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from camviz.types import Model, ModelRequest


def typed_options(request: ModelRequest) -> Iterator[tuple[str, str]]:
    """Yield (option, value) of everything in a request that is not a default, except the model; a flag has no value."""
    values = {
        "--weights": "" if request.weights == "default" else request.weights,
        "--checkpoint": request.checkpoint,
        "--checkpoint-key": request.checkpoint_key,
        "--labels": request.labels,
        "--input-size": "x".join(map(str, request.input_size or ())),
        "--mean": _numbers(request.mean),
        "--std": _numbers(request.std),
        "--range": _numbers(request.range),
        "--window": _numbers(request.window),
        "--channel-order": "" if request.order == "rgb" else request.order,
        "--task": request.task,
        "--output-key": request.output_key,
    }
    yield from ((option, value) for option, value in values.items() if value)
    yield from (("--model-args", f"{key}={value}") for key, value in request.arguments)
    yield from (("--input", f"{name}={text}") for name, text in request.inputs)
    if request.allow_pickle:
        yield "--allow-pickle", ""


def typed_model(request: ModelRequest) -> str:
    """Return the words that name a requested model on a command line: `net.py:Net --input-size 64`."""
    options = [f"{option} {shlex.quote(value)}" if value else option for option, value in typed_options(request)]
    return " ".join([shlex.quote(request.spec), *options]) if request.spec else ""


def layers_command(model: Model) -> str:
    """Return the quoted command that lists all layers of a model."""
    return f"'camviz layers {model.typed or model.name} --depth 99'"


def _numbers(values: tuple[float, ...] | None) -> str:
    return ",".join(f"{value:g}" for value in values or ())
