"""How maps are drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from camviz.cli.names import COLORMAP, FORMAT, LAYOUT, SCALE
from camviz.cli.parsing import numbers
from camviz.errors import RequestError
from camviz.types import Look, Sign, Style

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
    float | None,
    typer.Option(
        "--alpha",
        help="Constant opacity, 0 (image only) to 1 (colors only). Default: the opacity grows with the value.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Signs = Annotated[
    Sign,
    typer.Option(
        "--sign", help="Evidence for the target, against it, or both on a diverging colormap.", rich_help_panel=_PANEL
    ),
]


WIDTHS = {"single": 85.0, "double": 180.0}  # mm, one and two columns of a journal


@dataclass
class PrintOptions:
    """Size and text of composed figures."""

    width: Annotated[
        str | None,
        typer.Option(
            "--width",
            metavar="WIDTH",
            help="Width for print: single (85 mm), double (180 mm), or a number of mm. Default: by the content.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None
    dpi: Annotated[int, typer.Option("--dpi", help="Pixels per inch of raster figures.", rich_help_panel=_PANEL)] = 300
    font: Annotated[
        str, typer.Option("--font", help="Font name such as DejaVuSans, or a font file.", rich_help_panel=_PANEL)
    ] = ""
    points: Annotated[
        float, typer.Option("--text-size", help="Size of titles in points; 0: 7 points.", rich_help_panel=_PANEL)
    ] = 0.0

    def style(self) -> Style:
        """Return the print style; raise `RequestError` for one that cannot be drawn."""
        from camviz.render.paper import check_style

        style = Style(width_mm(self.width), self.dpi, self.font, self.points)
        check_style(style)
        return style


def width_mm(text: str | None) -> float:
    """Return a --width in mm, 0 for none."""
    if text is None:
        return 0.0
    try:
        return WIDTHS.get(text.lower()) or float(text.lower().removesuffix("mm"))
    except ValueError as error:
        raise RequestError(f"--width '{text}' is not a width", "--width single, double, or 120 for mm") from error


@dataclass
class LookOptions(PrintOptions):
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
    alpha: Alpha = None
    contour: Annotated[
        str | None,
        typer.Option(
            "--contour",
            metavar="LEVELS",
            help="Draw iso-lines at fractions of the color scale: 0.5,0.8.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold", help="Draw nothing below this fraction of the color scale.", rich_help_panel=_PANEL
        ),
    ] = 0.0
    crop_marks: Annotated[
        bool,
        typer.Option(
            "--crop-marks/--no-crop-marks", help="Mark the corners of the model's crop.", rich_help_panel=_PANEL
        ),
    ] = True
    full_size: Annotated[
        bool,
        typer.Option(
            "--full-size",
            help="Keep the size of images with a side below 256 or above 2048 pixels.",
            rich_help_panel=_PANEL,
        ),
    ] = False
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
            help="png, jpg, webp, pdf or svg; for videos mp4 or gif.",
            rich_help_panel=_PANEL,
            autocompletion=FORMAT.complete,
        ),
    ] = "png"
    colorbar: Annotated[
        bool | None,
        typer.Option(
            "--colorbar/--no-colorbar",
            help="Draw a color bar beside the map. Default: in panels and grids.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None
    caption: Annotated[
        bool | None,
        typer.Option(
            "--caption/--no-caption",
            help="Write class, method and model. Default: in panels and grids.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None

    def look(self, films: bool = False) -> Look:
        """Return the look. Raises `UnknownName` and `RequestError`; `films`: video formats are allowed."""
        from camviz.render import animation, check

        look = changed(Look(), self)
        check(replace(look, format="png") if films and look.format in animation.FORMATS else look)
        return look


def changed(look: Look, options: LookOptions) -> Look:
    """Return the look with the options that are set (not None)."""
    typed = {name: value for name, value in vars(options).items() if value is not None}
    style = {name: typed.pop(name) for name in ("width", "dpi", "font", "points") if name in typed}
    if "width" in style:
        style["width"] = width_mm(style["width"])
    if "contour" in typed:
        typed["contour"] = numbers("--contour", typed["contour"])
    return replace(look, **typed, style=replace(look.style, **style))
