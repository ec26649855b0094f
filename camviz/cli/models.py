"""`camviz models`: what can be loaded."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Annotated

import typer

from camviz.cli.console import Console
from camviz.cli.options import Json
from camviz.errors import unknown

Pattern = Annotated[str | None, typer.Argument(help="Part of a name, or a glob: resnet, 'vit_*'.", show_default=False)]


def models(pattern: Pattern = None, as_json: Json = False) -> None:
    """Models by name, their weights, and which of those are already on this machine."""
    from camviz.models.catalogue import classifiers, weights_file

    rows = [("demo", ["default"], ["default"])]
    for listing in classifiers().values():
        names = [f"{name} (default)" if name == listing.default else name for name in listing.weights]
        cached = [name for name, url in listing.weights.items() if weights_file(url).exists()]
        rows.append((listing.name, names, cached))
    if pattern:
        chosen = [row for row in rows if pattern.lower() in row[0] or fnmatchcase(row[0], pattern.lower())]
        if not chosen:
            raise unknown("model", pattern, [row[0] for row in rows], listing="'camviz models'")
        rows = chosen
    console = Console()
    if as_json:
        for name, weights, cached in rows:
            facts = {
                "name": name,
                "task": "classification",
                "weights": [one.partition(" ")[0] for one in weights],
                "cached": cached,
            }
            console.result(json.dumps(facts))
        return
    console.table(
        ["model", "task", "weights", "on this machine"],
        [(name, "classification", ", ".join(weights), ", ".join(cached) or "-") for name, weights, cached in rows],
    )
    console.say("also: --model net.py:Net for a network of your own, --checkpoint FILE for its weights")


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Try: camviz models resnet")(models)
