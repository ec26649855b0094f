"""`camviz layers`: what can be looked at."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import typer

from camviz.cli.console import Console
from camviz.cli.options import Json, ModelOptions, with_groups
from camviz.errors import NetworkError, unknown

if TYPE_CHECKING:
    from torch import nn

    from camviz.features.field import Field

Named = Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The same as --model.", show_default=False)]
Pattern = Annotated[
    str | None,
    typer.Option("--filter", help="Only paths or kinds that match: 'layer4*', '*Conv2d'.", show_default=False),
]
Depth = Annotated[
    int | None, typer.Option("--depth", min=1, help="Only paths of so many parts at most.", show_default=False)
]
Receptive = Annotated[
    bool,
    typer.Option("--receptive-field", help="Also what a unit can see of the input: side in pixels, share of its area."),
]


@with_groups
def layers(
    model: ModelOptions,
    named: Named = None,
    pattern: Pattern = None,
    depth: Depth = None,
    receptive_field: Receptive = False,
    as_json: Json = False,
) -> None:
    """Layers of a model: dotted path, kind, output shape, stride, parameters. The default is starred."""
    from camviz.models.load import plan

    model.model = named or model.model
    planned = plan(model.request(images=False))

    from camviz.models.layers import default_layer, grid, list_layers
    from camviz.models.survey import survey

    assert planned.skeleton
    console = Console()
    with console.only_results():
        network = planned.skeleton()
        seen = survey(network.module, network.preprocessing.crop, network.name)
        fields = _fields(network.module, seen.input_size) if receptive_field else {}
    try:
        star = default_layer(network, seen).path
    except NetworkError as error:
        star = ""
        console.say(f"note: {error.message}")
    rows = []
    for one, layer in list_layers(network, seen):
        if depth and one.path.count(".") >= depth:
            continue
        if pattern and not (fnmatchcase(one.path, pattern) or fnmatchcase(one.kind, pattern)):
            continue
        height = grid(layer, seen.input_size)[0] if layer else 0
        stride = f"{seen.input_size[0] / height:.3g}" if layer and height else "-"
        rows.append((one, stride, layer))
    if pattern and not rows:
        raise unknown("layer", pattern, [one.path for one in seen.layers], network.name, "without --filter it")
    if as_json:
        for one, stride, layer in rows:
            facts: dict[str, Any] = {
                "path": one.path,
                "kind": one.kind,
                "shape": list(one.shape),
                "stride": None if stride == "-" else float(stride),
                "parameters": one.parameters,
                "layout": layer.layout if layer else None,
                "default": one.path == star,
            }
            if receptive_field:
                facts["receptive_field"] = _facts(fields.get(one.path), seen.input_size)
            console.result(json.dumps(facts))
        return
    console.table(
        ["", "path", "kind", "output", "stride", *(_COLUMNS if receptive_field else ()), "parameters"],
        [
            (
                "*" if one.path == star else "",
                one.path,
                one.kind,
                "×".join(map(str, one.shape)),
                stride,
                *(_cells(fields.get(one.path), seen.input_size) if receptive_field else ()),
                f"{one.parameters:,}",
            )
            for one, stride, _ in rows
        ],
        right=("stride", *_COLUMNS, "parameters"),
    )
    if any(field and field.gated for field in fields.values()):
        console.say("note: +gate: besides, something of the whole input scales all units alike")


_COLUMNS = ("field", "share")


def _fields(module: nn.Module, input_size: tuple[int, int]) -> dict[str, Field | None]:
    from camviz.features.receptive import receptive_fields

    return receptive_fields(module, input_size)


def _cells(field: Field | None, input_size: tuple[int, int]) -> tuple[str, str]:
    """What the table says of a field: its side and its share of the input."""
    if field is None:
        return "?", "?"
    if field.whole:
        return "whole", "100%"
    down, across = field.size
    side = f"{across:g}" if down == across else f"{across:g}×{down:g}"
    return side + (" +gate" if field.gated else ""), f"{100 * field.share(input_size):.3g}%"


def _facts(field: Field | None, input_size: tuple[int, int]) -> dict[str, Any] | None:
    """A field as JSON; pairs are (down, across)."""
    if field is None:
        return None
    placed = {} if field.whole else {"size": field.size, "stride": field.jump, "first": field.first}
    return {**placed, "share": round(field.share(input_size), 6), "whole": field.whole, "gated": field.gated}


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Try: camviz layers resnet50 --depth 1")(layers)
