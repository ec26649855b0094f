"""`camviz concepts`: concepts of a class in a folder of images."""

from __future__ import annotations

from typing import Annotated

import typer

from camviz.cli.console import Console
from camviz.cli.names import FORMAT
from camviz.cli.options import (
    ComputeOptions,
    Fit,
    Images,
    Layers,
    ModelOptions,
    OutputOptions,
    ResumeOptions,
    Targets,
)
from camviz.cli.registry import command
from camviz.cli.session import Session, request_of

Concepts = Annotated[int, typer.Option("--concepts", min=1, max=32, help="Number of concepts.")]
Top = Annotated[int, typer.Option("--top", min=1, max=8, help="Number of crops per concept.")]
Format = Annotated[str, typer.Option("--format", help="png, jpg, webp, pdf or svg.", autocompletion=FORMAT.complete)]


@command(
    section="Look inside",
    order=4,
    examples=(
        "camviz concepts -t star",
        "camviz concepts photos/ -m resnet50 -t tabby --concepts 10",
    ),
)
def concepts(
    console: Console,
    model: ModelOptions,
    compute: ComputeOptions,
    out: OutputOptions,
    again: ResumeOptions,
    images: Images = None,
    target: Targets = None,
    layer: Layers = None,
    concepts: Concepts = 6,
    top: Top = 4,
    fit: Fit = "model",
    format: Format = "png",
) -> int:
    """Find what a class consists of for the model: concepts in a folder of its images.

    Factorizes the activations of crops (CRAFT); draws crops, maps and the importance of each concept.
    """
    from camviz.render.color import one_of
    from camviz.render.paper import FORMATS
    from camviz.run.settings import ConceptSettings

    one_of("format", format, FORMATS)
    request = request_of(model, None, compute, images, layer, target, fit)
    settings = ConceptSettings(request, concepts, top, format)
    session = Session.of(settings, images, out, console, again)
    session.check_targets(request.targets)
    return session.execute(settings)
