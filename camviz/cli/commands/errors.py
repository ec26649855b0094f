"""`camviz errors`: misclassified images, explained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camviz.cli.commands.compare import FigureOptions, look_of, style_of
from camviz.cli.console import Console
from camviz.cli.options import (
    ComputeOptions,
    Fit,
    Floor,
    Layers,
    MethodOptions,
    ModelOptions,
    OutputOptions,
    ResumeOptions,
)
from camviz.cli.registry import command
from camviz.cli.session import Work, job_of
from camviz.errors import RequestError

if TYPE_CHECKING:
    from camviz.render.print_figure import Style
    from camviz.run.output.written import Written
    from camviz.run.resume import Run
    from camviz.types import Job

Folder = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES",
        help="Files, folders (recursive), globs, URLs, or - to read paths from stdin.",
        show_default=False,
    ),
]
LabelsFrom = Annotated[
    str,
    typer.Option(
        "--labels-from",
        metavar="FILE.csv",
        help="True classes: folders (names of the folders), or a CSV file with the columns image,label.",
    ),
]
Removal = Annotated[
    bool,
    typer.Option(
        "--removal/--no-removal",
        help="Outline the smallest region whose removal changes the prediction.",
        rich_help_panel="Drawing",
    ),
]


@command(
    section="Explain",
    order=3,
    examples=(
        "camviz errors photos/ -m resnet50",
        "camviz errors photos/ -m resnet50 --labels-from labels.csv",
        "camviz errors photos/ -m net.py:Net -c my.pth --labels names.txt",
    ),
)
def errors(
    console: Console,
    how: MethodOptions,
    model: ModelOptions,
    compute: ComputeOptions,
    figure: FigureOptions,
    out: OutputOptions,
    again: ResumeOptions,
    images: Folder = None,
    labels_from: LabelsFrom = "folders",
    layer: Layers = None,
    fit: Fit = "model",
    floor: Floor = False,
    removal: Removal = True,
) -> int:
    """Find misclassified images and explain them.

    Draws the evidence for the predicted class, for the true class, and the difference.
    """
    if not images:
        raise RequestError("no images: errors needs a folder with one folder per class", "camviz errors photos/")
    job = job_of(model, how, compute, images, layer, None, fit, floor=floor)
    job = replace(job, look=look_of(figure, "row", film=False))
    style = style_of(figure)
    if len(job.methods) > 1:
        raise RequestError(f"{len(job.methods)} methods: errors are explained by one", f"--method {job.methods[0]}")
    work = Work(job.model, job.device, images, out, console, again)
    return _run(job, work, style, labels_from, removal)


def _run(job: Job, work: Work, style: Style, labels_from: str, removal: bool) -> int:
    from camviz.misclassified.truth import read_table

    table = None if labels_from == "folders" else read_table(Path(labels_from))
    work.check(job)
    settings = {**asdict(job), "style": asdict(style), "labels_from": table or "folders", "removal": removal}
    with work.run("errors", {**settings, "contents": work.contents}, drawn_later=True) as run:
        if work.again.dry_run:
            return work.nothing_to_compute(run)
        if run.complete():
            return work.tell_records(run, (), lambda _: (), lambda: _drawn(job, work, style, run))

        from camviz.misclassified.explain import check_classifier  # from here on torch is imported
        from camviz.misclassified.truth import TrueLabels
        from camviz.run.misclassified import mistakes

        model = work.load()
        explainer = work.explainer(model, job)
        check_classifier(explainer)
        known = TrueLabels(model.labels, table)
        if "-" not in (work.images or ()):  # standard input is read once
            from camviz.io.inputs import list_inputs

            known.check(one.path for one in list_inputs(work.images or []) if not one.error)
        made = mistakes(explainer, known, work.missing(run), removal)
        return work.tell_records(run, made, lambda _: (), lambda: _drawn(job, work, style, run))


def _drawn(job: Job, work: Work, style: Style, run: Run) -> Iterator[Written]:
    from camviz.run.misclassified import Drawing, Tally

    assert run.job
    yield from Drawing(run.database, run.job, job.look, style, work.folder, run.open().write)(work.failed)
    work.console.say(str(Tally.of(run.database, run.job)))
