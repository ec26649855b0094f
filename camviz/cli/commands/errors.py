"""`camviz errors`: misclassified images, explained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from camviz.cli.commands.compare import FigureOptions, look_of
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
from camviz.cli.session import Session, request_of
from camviz.errors import RequestError

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
    from camviz.misclassified.truth import read_table
    from camviz.run.settings import ErrorSettings

    if not images:
        raise RequestError("no images: errors needs a folder with one folder per class", "camviz errors photos/")
    request = request_of(model, how, compute, images, layer, None, fit, floor=floor)
    request = replace(request, look=look_of(figure, "row", film=False))
    if len(request.methods) > 1:
        raise RequestError(
            f"{len(request.methods)} methods: errors are explained by one", f"--method {request.methods[0]}"
        )
    table = None if labels_from == "folders" else read_table(Path(labels_from))
    settings = ErrorSettings(request, table, removal)
    session = Session.of(settings, images, out, console, again)
    session.check(request)
    return session.execute(settings)
