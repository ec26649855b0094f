"""`camviz layers`: what can be looked at."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Annotated

import typer

from camviz.cli.console import Console
from camviz.cli.options import Json, ModelOptions, with_groups
from camviz.errors import NetworkError, unknown

Named = Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The same as --model.", show_default=False)]
Pattern = Annotated[
    str | None,
    typer.Option("--filter", help="Only paths or kinds that match: 'layer4*', '*Conv2d'.", show_default=False),
]
Depth = Annotated[
    int | None, typer.Option("--depth", min=1, help="Only paths of so many parts at most.", show_default=False)
]


@with_groups
def layers(
    model: ModelOptions,
    named: Named = None,
    pattern: Pattern = None,
    depth: Depth = None,
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
            facts = {
                "path": one.path,
                "kind": one.kind,
                "shape": list(one.shape),
                "stride": None if stride == "-" else float(stride),
                "parameters": one.parameters,
                "layout": layer.layout if layer else None,
                "default": one.path == star,
            }
            console.result(json.dumps(facts))
        return
    console.table(
        ["", "path", "kind", "output", "stride", "parameters"],
        [
            (
                "*" if one.path == star else "",
                one.path,
                one.kind,
                "×".join(map(str, one.shape)),
                stride,
                f"{one.parameters:,}",
            )
            for one, stride, _ in rows
        ],
        right=("stride", "parameters"),
    )


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Try: camviz layers resnet50 --depth 1")(layers)
