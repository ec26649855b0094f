"""`camviz compare`: models, methods, layers or checkpoints on the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    ResumeOptions,
    Signs,
    Targets,
    several,
)
from camviz.cli.registry import command
from camviz.cli.session import Work, job_of
from camviz.cli.typer_internals import Ordered
from camviz.errors import RequestError
from camviz.types import Look

if TYPE_CHECKING:
    from camviz.comparison.compare import Comparer
    from camviz.render.print_figure import Style
    from camviz.run.compare import CompareJob
    from camviz.run.output.written import Written
    from camviz.run.resume import Run

    ManyModelsOptions = ModelOptions
else:
    ManyModelsOptions = repeatable(ModelOptions)

_FILMS = ("gif", "mp4")
Names = Annotated[
    list[str] | None,
    typer.Option("--name", help="Name of each model in the figure, in order.", show_default=False),
]


@dataclass
class FigureOptions:
    """How a figure for print is drawn."""

    width: Annotated[
        str,
        typer.Option(
            "--width",
            help="Width for print: single (85 mm), double (180 mm), or a number of mm.",
            rich_help_panel="Drawing",
        ),
    ] = "double"
    dpi: Annotated[int, typer.Option("--dpi", help="Pixels per inch of raster figures.", rich_help_panel="Drawing")] = (
        300
    )
    font: Annotated[
        str, typer.Option("--font", help="Font name such as DejaVuSans, or a font file.", rich_help_panel="Drawing")
    ] = ""
    points: Annotated[
        float, typer.Option("--text-size", help="Text size in points; 0: from the width.", rich_help_panel="Drawing")
    ] = 0.0
    colormap: Colormap = None
    alpha: Alpha = 0.5
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
            "--format", help="png, pdf or svg; gif or mp4: one map after the other.", rich_help_panel="Drawing"
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
    from camviz.run.compare import CompareJob

    check_images(images)
    found = requests(context, vars(model), layer, bool(images))
    names = names_of(found, name or ())
    alone = len(found) == 1
    training = len(vars(model)["model"] or ()) < 2 and not alone
    strip = layout == "strip" or (layout is None and training and len(found) > 6) or figure.format in _FILMS
    job = job_of(ModelOptions(), how, compute, images, None, target, fit, floor=floor)
    job = replace(job, model=found[0][0], look=look_of(figure, "image" if alone else "row"))
    asked = CompareJob(
        job,
        tuple(request for request, _ in found),
        tuple(several(layers) for _, layers in found),
        tuple(names),
        len(found) - 1 if training else 0,  # whose class is explained: the last checkpoint is the model
        "strip" if strip else "figure",
        style_of(figure),
        figure.caption,
    )
    if not alone and not strip:
        check_count(len(found))
    return _run(asked, top, [Work(one, job.device, images, out, console, again) for one in _plain(asked)])


def _plain(job: CompareJob) -> list[Any]:
    """The requests without what only a comparison knows."""
    return [replace(one, weights="default") if one.weights == "random" else one for one in job.models]


def look_of(figure: FigureOptions, scale: str, film: bool = True) -> Look:
    """The look, checked; without --scale, this one."""
    from camviz.render import check
    from camviz.render.color import one_of
    from camviz.render.print_backend import FORMATS, check_pdf

    look = Look("panel", figure.colormap, figure.alpha, figure.sign, figure.scale or scale)
    check(look)
    one_of("format", figure.format, (*FORMATS, *(_FILMS if film else ())))
    if figure.format == "pdf":
        check_pdf()
    return replace(look, format=figure.format)


def style_of(figure: FigureOptions) -> Style:
    """How it is printed, checked."""
    from camviz.render.print_backend import check_font
    from camviz.render.print_figure import DOUBLE, SINGLE, Style

    widths = {"single": SINGLE, "double": DOUBLE}
    try:
        width = widths.get(figure.width) or float(figure.width.removesuffix("mm"))
    except ValueError as error:
        raise RequestError(
            f"--width '{figure.width}' is not a width", "--width single, double, or 120 for mm"
        ) from error
    check_font(figure.font)
    style = Style(width, figure.dpi, figure.font, figure.points)
    style.check()
    return style


def _run(job: CompareJob, top: int, works: list[Work]) -> int:
    for one in works:
        one.check(job.job)
    work = works[0]
    contents: dict[str, str] = {}
    for one in works:
        contents |= one.contents
    with work.run("compare", job.settings(contents), drawn_later=True) as run:
        if work.again.dry_run:
            return work.nothing_to_compute(run)
        if run.complete():
            return work.tell_records(run, (), _notes, lambda: _drawn(job, top, work, run))

        from camviz.run.compare import compared  # from here on torch is imported

        comparer = _comparer(job, works)
        made = compared(comparer, work.missing(run), job.layout == "strip")
        return work.tell_records(run, made, _notes, lambda: _drawn(job, top, work, run))


def _comparer(job: CompareJob, works: list[Work]) -> Comparer:
    from camviz.comparison.compare import Comparer, Member
    from camviz.engine.explain import Explainer
    from camviz.engine.randomize import randomized

    def make(number: int) -> Explainer:
        model = works[number].load(name=job.names[number] if len(works) > 1 else "")
        if job.models[number].weights == "random":
            model = randomized(model, job.job.seed)
        explainer = Explainer(model, replace(job.job, model=job.models[number], layers=job.layers[number]))
        for note in explainer.notes:
            works[0].console.say(f"note: {note}")
        return explainer

    members = [Member(name, partial(make, number)) for number, name in enumerate(job.names)]
    explainer = members[job.reference].explainer
    if len(members) == 1:
        from camviz.comparison import check_count

        check_count(sum(chosen.parts * max(1, len(explainer.layers)) for chosen in explainer.methods))
    works[0].console.say(f"layer: {', '.join(one.path for one in explainer.layers)} of {job.names[job.reference]}")
    return Comparer(members, bool(job.job.targets), job.reference)


def _drawn(job: CompareJob, top: int, work: Work, run: Run) -> Iterator[Written]:
    from camviz.run.compare import Drawing

    assert run.job
    write: Callable[[Path, bytes], None] = run.open().write
    yield from Drawing(run.database, run.job, job, work.folder, write)(work.failed, top)


def _notes(one: Written) -> list[str]:
    """Why maps of a figure show nothing."""
    return [
        f"{one.path.name}, {side['side']}: {side['note']}" for side in one.facts.get("sides", ()) if side.get("note")
    ]
