"""`camviz methods`: the methods that draw maps."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

from camviz.cli.console import Console
from camviz.cli.names import METHOD
from camviz.cli.options import Json
from camviz.cli.registry import command
from camviz.io.texts import json_text

Name = Annotated[
    str | None,
    typer.Argument(metavar="METHOD", help="Describe one method.", show_default=False, autocompletion=METHOD.complete),
]


@command(
    section="Lists",
    order=3,
    examples=(
        "camviz methods",
        "camviz methods gradcam",
    ),
)
def methods(console: Console, name: Name = None, as_json: Json = False) -> None:
    """List methods by family, with paper, cost and settings."""
    from camviz.methods import METHODS

    entries = [METHODS.find(name)] if name else list(METHODS)
    if as_json:
        for entry in entries:
            facts = {"name": entry.name, **entry.facts, "summary": entry.summary, "settings": entry.settings}
            console.result(json_text(facts))
    elif name:
        [entry] = entries
        console.result(f"{entry.name}: {inspect.getdoc(entry.call)}")
        for fact, value in entry.facts.items():
            console.result(f"  {fact}: {value}")
        for setting, default in entry.settings.items():
            console.result(f"  --set {setting}={default}")
    else:
        console.table(
            ["method", "family", "needs", "cost", "paper", "summary"],
            [
                (e.name, e.facts["family"], e.facts["needs"], e.facts["cost"], e.facts["paper"], e.summary)
                for e in entries
            ],
        )
