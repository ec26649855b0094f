"""`camviz layers`: the layers of a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from camviz.cli.console import Console
from camviz.cli.names import MODEL
from camviz.cli.options import Json, ModelWithoutImagesOptions
from camviz.cli.registry import command
from camviz.errors import ModelError, unknown

if TYPE_CHECKING:
    from torch import nn

    from camviz.models.receptive_field import Field
    from camviz.models.survey import LayerRun, Survey
    from camviz.types import Layer, Model

Named = Annotated[
    str | None,
    typer.Argument(metavar="MODEL", help="Same as --model.", show_default=False, autocompletion=MODEL.complete),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="PATTERN",
        help="Only paths or types that match, at any depth: 'layer4*', '*Conv2d'.",
        show_default=False,
    ),
]
Depth = Annotated[
    int | None,
    typer.Option(
        "--depth",
        min=1,
        help="Levels of nested modules to list. Default: 1; all with --filter or --json.",
        show_default=False,
    ),
]
Receptive = Annotated[
    bool,
    typer.Option("--receptive-field", help="Add the receptive field: side in pixels and share of the input."),
]


@command(
    section="Lists",
    order=1,
    examples=(
        "camviz layers",
        "camviz layers resnet50 --depth 2",
        "camviz layers net.py:Net --input-size 64 --receptive-field",
    ),
)
def layers(
    console: Console,
    model: ModelWithoutImagesOptions,
    named: Named = None,
    pattern: Pattern = None,
    depth: Depth = None,
    receptive_field: Receptive = False,
    as_json: Json = False,
) -> None:
    """List the layers of a model.

    Dotted path, type, output shape, stride and parameters; * marks the default layer.
    """
    from camviz.models.load import plan

    model.model = named or model.model
    planned = plan(model.request())

    from camviz.models.layers import list_layers
    from camviz.models.survey import survey

    assert planned.skeleton
    module = planned.skeleton()
    seen = survey(module.module, module.preprocessing.crop, module.name)
    if pattern and not any(_fits(run, pattern) for run in seen.layers):
        raise unknown("layer", pattern, [run.path for run in seen.layers], module.name, "--filter '*'")
    for note in module.notes:
        console.say(f"note: {note}")
    module, star = _described(console, module, seen)
    shortened = depth is None and not pattern and not as_json
    if shortened:
        depth = _first_depth([one.path for one in seen.layers])
    fields = _fields(module.module, seen.input_size) if receptive_field else {}
    rows = [
        _row(module, seen, run, layer, star, fields)
        for run, layer in list_layers(module, seen)
        if (not depth or run.path.count(".") < depth or (shortened and run.path == star))
        and (not pattern or _fits(run, pattern))
    ]
    if as_json:
        for row in rows:
            console.result(json.dumps(_facts(row, seen.input_size, receptive_field)))
        return
    _print(console, rows, seen.input_size, receptive_field)
    if depth and shortened and len(rows) < len(seen.layers):
        console.say(f"{len(rows)} of {len(seen.layers)} layers: --depth {depth + 1} lists another level")


def _fits(run: LayerRun, pattern: str) -> bool:
    return fnmatchcase(run.path, pattern) or fnmatchcase(run.kind, pattern)


def _described(console: Console, model: Model, seen: Survey) -> tuple[Model, str]:
    """Say what goes in and what comes out; return the model with its output, and the path of the default layer."""
    from camviz.models.finish import describe_input
    from camviz.models.layers import default_layer
    from camviz.models.outputs import understand

    console.say(f"input: {describe_input(model)}")
    try:
        model, seen = understand(model, seen)
        console.say(f"output: {model.output}")
    except ModelError as error:  # such as several parts: it has layers all the same
        console.say(f"note: {error.message}; {error.hint}")
    try:
        return model, default_layer(model, seen).path
    except ModelError as error:
        console.say(f"note: {error.message}")
        return model, ""


def _first_depth(paths: Sequence[str]) -> int:
    """The first depth at which there is more than one layer: a model may be wrapped in others."""
    levels = sorted(path.count(".") + 1 for path in paths)
    return next((level for level in levels if sum(other <= level for other in levels) > 1), 1)


def _row(
    model: Model, seen: Survey, run: LayerRun, layer: Layer | None, star: str, fields: dict[str, Field | None]
) -> _Row:
    from camviz.models.layers import grid

    axis = int(model.preprocessing.frames > 1)  # the rows of a clip's maps count steps in time as well
    cells = grid(layer, seen.input_size)[axis] if layer else 0
    stride = seen.input_size[axis] / cells if cells else None
    return _Row(run, layer, stride, run.path == star, fields.get(run.path))


class _Row(NamedTuple):
    """A layer in the listing."""

    seen: LayerRun
    layer: Layer | None
    stride: float | None
    default: bool
    field: Field | None


_COLUMNS = ("field", "share")


def _fields(module: nn.Module, input_size: tuple[int, int]) -> dict[str, Field | None]:
    from camviz.models.receptive import receptive_fields

    return receptive_fields(module, input_size)


def _print(console: Console, rows: Sequence[_Row], input_size: tuple[int, int], fields: bool) -> None:
    columns = _COLUMNS if fields else ()
    console.table(
        ["", "path", "kind", "output", "stride", *columns, "parameters"],
        [_cells(row, input_size, fields) for row in rows],
        right=("stride", *columns, "parameters"),
    )
    if any(row.field and row.field.bound for row in rows):
        console.say("note: ≤: windowed attention; the receptive field of a unit depends on its position in the window")
    if any(row.field and row.field.gated for row in rows):
        console.say("note: +gate: a gate computed from the whole input scales all units")


def _cells(row: _Row, input_size: tuple[int, int], fields: bool) -> tuple[str, ...]:
    """The cells of a layer in the table."""
    stride = f"{row.stride:.3g}" if row.stride else "-"
    shape = "×".join(map(str, row.seen.shape))
    seen = _field_cells(row.field, input_size) if fields else ()
    star = "*" if row.default else ""
    return star, row.seen.path, row.seen.kind, shape, stride, *seen, f"{row.seen.parameters:,}"


def _field_cells(field: Field | None, input_size: tuple[int, int]) -> tuple[str, str]:
    """The receptive field in the table: its side and its share of the input."""
    if field is None:
        return "?", "?"
    if field.whole:
        return "whole", "100%"
    down, across = field.size
    side = f"{across:g}" if down == across else f"{across:g}×{down:g}"
    most = "≤" if field.bound else ""
    return most + side + (" +gate" if field.gated else ""), f"{most}{100 * field.share(input_size):.3g}%"


def _facts(row: _Row, input_size: tuple[int, int], fields: bool) -> dict[str, Any]:
    """A layer as JSON."""
    facts = {
        "path": row.seen.path,
        "kind": row.seen.kind,
        "shape": list(row.seen.shape),
        "stride": row.stride and float(f"{row.stride:.3g}"),
        "parameters": row.seen.parameters,
        "layout": row.layer.layout if row.layer else None,
        "default": row.default,
    }
    return {**facts, "receptive_field": _field_facts(row.field, input_size)} if fields else facts


def _field_facts(field: Field | None, input_size: tuple[int, int]) -> dict[str, Any] | None:
    """A receptive field as JSON; pairs are (down, across)."""
    if field is None:
        return None
    placed = {} if field.whole else {"size": field.size, "stride": field.jump, "first": field.first}
    share = round(field.share(input_size), 6)
    return {**placed, "share": share, "whole": field.whole, "bound": field.bound, "gated": field.gated}
