"""How maps are drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from camviz.cli.names import COLORMAP, FORMAT, LAYOUT, SCALE
from camviz.types import Look, Sign

_PANEL = "Drawing"
Colormap = Annotated[
    str | None,
    typer.Option(
        "--colormap",
        help="Name of a colormap: viridis, jet, …",
        show_default=False,
        rich_help_panel=_PANEL,
        autocompletion=COLORMAP.complete,
    ),
]
Alpha = Annotated[
    float,
    typer.Option("--alpha", help="Opacity of the map: 0 image only, 1 colors only.", rich_help_panel=_PANEL),
]
Signs = Annotated[
    Sign,
    typer.Option(
        "--sign", help="Evidence for the target, against it, or both on a diverging colormap.", rich_help_panel=_PANEL
    ),
]


@dataclass
class LookOptions:
    """How maps are drawn."""

    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            help="overlay, panel, heatmap, or grid (all maps of an image in one figure).",
            rich_help_panel=_PANEL,
            autocompletion=LAYOUT.complete,
        ),
    ] = "overlay"
    colormap: Colormap = None
    alpha: Alpha = 0.5
    sign: Signs = "positive"
    scale: Annotated[
        str,
        typer.Option(
            "--scale",
            help="Normalize colors per image, per row (all maps of an image), over the run, or to a fixed maximum "
            "(fixed:2.5).",
            rich_help_panel=_PANEL,
            autocompletion=SCALE.complete,
        ),
    ] = "image"
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="png, jpg or webp; for videos mp4 or gif.",
            rich_help_panel=_PANEL,
            autocompletion=FORMAT.complete,
        ),
    ] = "png"
    colorbar: Annotated[
        bool | None,
        typer.Option(
            "--colorbar/--no-colorbar",
            help="Draw a color bar beside the map. Default: only in panels.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None
    caption: Annotated[
        bool | None,
        typer.Option(
            "--caption/--no-caption",
            help="Write class, method and range below the map. Default: only in panels.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None

    def look(self, films: bool = False) -> Look:
        """Return the look. Raises `UnknownName` and `RequestError`; `films`: video formats are allowed."""
        from camviz.render import animation, check

        look = Look(
            self.layout, self.colormap, self.alpha, self.sign, self.scale, self.format, self.colorbar, self.caption
        )
        check(replace(look, format="png") if films and look.format in animation.FORMATS else look)
        return look
