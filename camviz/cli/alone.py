"""The options of a model that is looked at without images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from camviz.cli.options import MODEL, ModelOptions


@dataclass
class AloneModelOptions(ModelOptions):
    """Which model, for a command that needs no image."""

    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help=f"{MODEL} Default: demo.", show_default=False, rich_help_panel="Model"),
    ] = None
