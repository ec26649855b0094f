"""`camviz compare`: models, methods, layers or checkpoints on the same images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from camviz.cli.console import Console
from camviz.cli.multi_model import check_images, names_of, repeatable, requests
from camviz.cli.options import (
    Alpha,
    Colormap,
    ComputeOptions,
    Fit,
    Floor,
    Images,
    Layers,
    MethodOptions,
    ModelOptions,
    OutputOptions,
    PrintOptions,
    ResumeOptions,
    Signs,
    Targets,
    several,
)
from camviz.cli.registry import command
from camviz.cli.session import Session, request_of
from camviz.cli.typer_internals import Ordered
from camviz.types import Look

if TYPE_CHECKING:
    ManyModelsOptions = ModelOptions
else:
    ManyModelsOptions = repeatable(ModelOptions)

_FILMS = ("gif", "mp4")
Names = Annotated[
    list[str] | None,
    typer.Option("--name", help="Name of each model in the figure, in order.", show_default=False),
]


@dataclass
class FigureOptions(PrintOptions):
    """How a comparison is drawn."""

    width: Annotated[
        str,
        typer.Option(
            "--width",
            help="Width for print: single (85 mm), double (180 mm), or a number of mm.",
            rich_help_panel="Drawing",
        ),
    ] = "double"
    colormap: Colormap = None
    alpha: Alpha = None
    sign: Signs = "positive"
    scale: Annotated[
        str | None,
        typer.Option(
            "--scale",
            help="Normalize colors per image, per row, over the run, or to a fixed maximum (fixed:2.5). Default: row "
            "for models, image for methods and layers.",
            show_default=False,
            rich_help_panel="Drawing",
        ),
    ] = None
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="png, jpg, webp, pdf or svg; gif or mp4: one map after the other.",
            rich_help_panel="Drawing",
        ),
    ] = "png"
    caption: Annotated[
        bool, typer.Option("--caption/--no-caption", help="Describe the figure below it.", rich_help_panel="Drawing")
    ] = True


Top = Annotated[
    int,
    typer.Option("--top", min=0, help="Number of images on the summary sheet; 0: no sheet.", rich_help_panel="Drawing"),
]
Layout = Annotated[
    Literal["figure", "strip"] | None,
    typer.Option(
        "--layout",
        help="strip: maps only, any number. Default: strip for more than six checkpoints.",
        show_default=False,
    ),
]


@command(
    section="Explain",
    order=2,
    examples=(
        "camviz compare -m demo -m demo --weights random",
        "camviz compare photo.jpg -m resnet18 -m resnet50",
        "camviz compare photo.jpg -m resnet50 --method gradcam,layercam",
        "camviz compare photos/ -m net.py:Net -c old.pth -m net.py:Net -c new.pth",
    ),
    cls=Ordered,
)
def compare(
    console: Console,
    context: typer.Context,
    how: MethodOptions,
    model: ManyModelsOptions,
    compute: ComputeOptions,
    figure: FigureOptions,
    out: OutputOptions,
    again: ResumeOptions,
    images: Images = None,
    name: Names = None,
    layer: Layers = None,
    target: Targets = None,
    fit: Fit = "model",
    floor: Floor = False,
    top: Top = 8,
    layout: Layout = None,
) -> int:
    """Compare models, checkpoints, methods or layers on the same images.

    Options after a --model apply to that model; options before the first --model apply to all.
    """
    from camviz.comparison import check_count
    from camviz.run.settings import CompareSettings

    check_images(images)
    asked = requests(context, vars(model), layer, bool(images))
    alone = len(asked) == 1
    training = len(vars(model)["model"] or ()) < 2 and not alone
    strip = layout == "strip" or (layout is None and training and len(asked) > 6) or figure.format in _FILMS
    request = request_of(ModelOptions(), how, compute, images, None, target, fit, floor=floor)
    request = replace(request, model=asked[0][0], look=look_of(figure, "image" if alone else "row"))
    settings = CompareSettings(
        request,
        tuple(request for request, _ in asked),
        tuple(several(layers) for _, layers in asked),
        tuple(names_of(asked, name or ())),
        len(asked) - 1 if training else 0,  # of checkpoints the last is the model, whose class is explained
        "strip" if strip else "figure",
        figure.caption,
        top,
    )
    if not alone and not strip:
        check_count(len(asked))
    session = Session.of(settings, images, out, console, again)
    session.check(request)
    return session.execute(settings)


def look_of(figure: FigureOptions, scale: str, film: bool = True) -> Look:
    """The look, checked; without --scale, this one."""
    from camviz.render import check
    from camviz.render.color import one_of
    from camviz.render.paper import FORMATS

    look = Look("panel", figure.colormap, figure.alpha, figure.sign, figure.scale or scale, style=figure.style())
    check(look)
    one_of("format", figure.format, (*FORMATS, *(_FILMS if film else ())))
    return replace(look, format=figure.format)
