"""Several models on one command line: options after a --model apply to it, options before the first to all."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from camviz.cli.option_groups import optional
from camviz.cli.options import Layers, ModelOptions
from camviz.cli.typer_internals import order_of
from camviz.errors import RequestError
from camviz.types import ModelRequest

_SHARED = ("allow_pickle",)


def repeatable(group: type[Any]) -> type[Any]:
    """Return a group of options that may each be repeated."""
    hints = get_type_hints(group, include_extras=True)
    made = []
    for option_field in fields(group):
        option = get_args(optional(hints[option_field.name]))[1]
        if option_field.name in _SHARED:
            made.append((option_field.name, hints[option_field.name], option_field.default))
        else:
            made.append((option_field.name, Annotated[list[str] | None, option], None))
    return make_dataclass(f"Repeatable{group.__name__}", made)


def requests(
    context: typer.Context, typed: dict[str, Any], layers: Layers, images: bool
) -> list[tuple[ModelRequest, tuple[str, ...]]]:
    """Return the models, each with its layers; a pattern of checkpoints is one model per file."""
    typed = {**typed, "layer": layers}
    own = [name for name in typed if name not in _SHARED]
    sections: list[dict[str, list[str]]] = [{}]
    for name, value in _in_order(context, {name: typed[name] for name in own}):
        if name == "model":
            sections.append({})
        sections[-1].setdefault(name, []).append(value)
    before, *models = sections
    found = []
    for section in models or [{}]:
        values = {**before, **section}
        single: dict[str, Any] = {name: _one(name, values.pop(name, [])) for name in own if name not in _MANY}
        if single["channel_order"] not in (None, "rgb", "bgr"):
            raise RequestError(f"no channel order '{single['channel_order']}'", "--channel-order rgb, or bgr")
        checkpoints: list[str | None] = [*_expanded(values.get("checkpoint", []))]
        for checkpoint in checkpoints or [None]:
            options = ModelOptions(
                **{name: value for name, value in single.items() if value is not None},
                checkpoint=checkpoint,
                model_args=values.get("model_args"),
                input=values.get("input"),
                allow_pickle=typed["allow_pickle"],
            )
            found.append((options.request(images), tuple(values.get("layer", ()))))
    return found


_MANY = ("checkpoint", "model_args", "input", "layer")


def _in_order(context: typer.Context, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(option, value) in the order typed, after those of a file, where each --model begins a section."""
    order = [name for name in order_of(context) if name in values]
    given = {name: list(value or ()) for name, value in values.items()}
    filed = {name: value for name, value in given.items() if value and name not in order}
    for number, model in enumerate(filed.pop("model", [])):
        yield "model", model
        yield from ((name, value[number]) for name, value in filed.items() if number < len(value))
        if number + 1 == len(given["model"]):
            filed = {}
    yield from ((name, item) for name, value in filed.items() for item in value)
    rest = {name: iter(value) for name, value in given.items()}
    for name in order:
        value = next(rest[name], None)
        if value is not None:
            yield name, value


def _one(name: str, values: Sequence[str]) -> str | None:
    if len(values) > 1:
        option = name.replace("_", "-")
        raise RequestError(
            f"--{option} twice for one model: '{values[0]}' and '{values[1]}'",
            f"--model A --{option} {values[0]} --model B --{option} {values[1]}",
        )
    return values[0] if values else None


def _expanded(checkpoints: Sequence[str]) -> list[str]:
    """The files that match, sorted by the numbers in their names."""
    found: list[str] = []
    for pattern in checkpoints:
        if Path(pattern).exists() or not any(sign in pattern for sign in "*?["):
            found.append(pattern)
            continue
        matching = sorted(glob.glob(pattern), key=_natural)
        if not matching:
            raise RequestError(f"no checkpoint matches '{pattern}'", "check the pattern; quote it, as in 'epoch_*.pth'")
        found += matching
    return found


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def check_images(images: Sequence[str] | None) -> None:
    """Raise `RequestError` for checkpoints among the images: the shell expanded a pattern."""
    from camviz.models.checkpoint import SUFFIXES

    for name in images or ():
        if name.endswith(SUFFIXES):
            raise RequestError(f"'{name}' is a checkpoint, not an image", "quote patterns: --checkpoint 'epoch_*.pth'")


def _tails(specs: list[str]) -> list[str]:
    """The ends of paths, as short as tells different ones apart: "old/net.py:Net" and "new/net.py:Net"."""
    parts = [spec.split("/") for spec in specs]
    for length in range(1, max(map(len, parts))):
        tails = ["/".join(names[-length:]) for names in parts]
        if len(set(tails)) == len(set(specs)):
            return tails
    return specs


def names_of(found: Sequence[tuple[ModelRequest, tuple[str, ...]]], given: Sequence[str]) -> list[str]:
    """Return the names of the models: as typed, or from their differences."""
    if given:
        if len(given) != len(found):
            raise RequestError(
                f"{len(given)} names for {len(found)} models", "repeat --name for each model, in their order"
            )
        return list(given)
    specs = _tails([request.spec for request, _ in found])
    stems = [Path(request.checkpoint).stem if request.checkpoint else "" for request, _ in found]
    weights = [request.weights if request.weights != "default" else "" for request, _ in found]
    if len(set(specs)) == len(specs):
        return [f"{spec} {weight}".strip() for spec, weight in zip(specs, weights, strict=True)]
    alike = len(set(specs)) == 1
    names = []
    for spec, stem, weight in zip(specs, stems, weights, strict=True):
        parts = [part for part in (stem, weight) if part]
        names.append(" ".join(parts) if parts and alike else " ".join([spec, *parts]))
    return names
