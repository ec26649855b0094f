"""Which method, and its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from camviz import types
from camviz.cli.names import METHOD
from camviz.cli.parsing import key_values

_PANEL = "Method"
Floor = Annotated[
    bool,
    typer.Option(
        "--floor",
        help="Flag maps whose target has no evidence above the noise floor (scores on images without content).",
        rich_help_panel=_PANEL,
    ),
]


@dataclass
class MethodOptions:
    """The method that turns evidence into a map."""

    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="A name listed by 'camviz methods', or all, gradients, masking, pixels, attention. Several: a,b or "
            "repeated. Default: gradcam; hirescam for boxes and regions.",
            show_default=False,
            rich_help_panel=_PANEL,
            autocompletion=METHOD.complete,
        ),
    ] = None
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Setting of the method: samples=50; with several methods smoothgrad.samples=50. Repeatable.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    score: Annotated[
        types.Score | None,
        typer.Option(
            "--score",
            help="Explain the score before or after softmax. Default: logit; for detections prob.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None
    min_score: Annotated[
        float,
        typer.Option(
            "--min-score",
            min=0,
            max=1,
            help="Score threshold for detections and multi-label outputs.",
            rich_help_panel=_PANEL,
        ),
    ] = 0.3
    smooth: Annotated[
        types.Smooth,
        typer.Option(
            "--smooth",
            help="Average over flipped and scaled inputs (aug) or noisy inputs (noise), or keep the first principal "
            "component (eigen).",
            rich_help_panel=_PANEL,
        ),
    ] = "none"
    fuse: Annotated[
        types.Fuse,
        typer.Option(
            "--fuse",
            help="Combine the maps of several layers into one; layercam rescales shallow layers first.",
            rich_help_panel=_PANEL,
        ),
    ] = "none"
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of methods that draw random numbers.", rich_help_panel=_PANEL)
    ] = 0

    def settings(self) -> tuple[tuple[str, str], ...]:
        """Return the settings as (name, text). Raises `RequestError` for one that is not NAME=VALUE."""
        return key_values("--set", self.setting, "samples=50")
