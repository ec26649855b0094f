"""The options of a network that is looked at without pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from camviz.cli.options import MODEL, ModelOptions


@dataclass
class AloneModelOptions(ModelOptions):
    """Which network, for a command that needs no picture."""

    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help=f"{MODEL} Default: demo.", show_default=False, rich_help_panel="Model"),
    ] = None
