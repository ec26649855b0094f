"""`camviz doctor`: why is my map blank or odd?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from camviz.cli.console import Console
from camviz.cli.options import (
    ComputeOptions,
    Fit,
    Images,
    Json,
    Layers,
    ModelOptions,
    Quiet,
    Targets,
    several,
    with_groups,
)
from camviz.types import Job

if TYPE_CHECKING:
    from camviz.types import Picture

Method = Annotated[str, typer.Option("--method", help="The method that gives the odd map.")]
Score = Annotated[Literal["logit", "prob"], typer.Option("--score", help="Explain the score before or after softmax.")]


@with_groups
def doctor(
    model: ModelOptions,
    compute: ComputeOptions,
    images: Images = None,
    layer: Layers = None,
    method: Method = "gradcam",
    target: Targets = None,
    score: Score = "logit",
    fit: Fit = "model",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Why is my map blank or odd? Looks at weights, inputs, class names, layer and maps, and says what mends them."""
    from camviz.methods import choose

    job = Job(
        model=model.request(images=bool(images)),
        layers=several(layer),
        methods=(method,),
        targets=tuple(target or ()),
        score=score,
        fit=fit,
        device=compute.device,
        precision=compute.precision,
        batch_size=compute.batch_size,
    )
    choose(job.methods, ())
    console = Console(quiet)
    with console.only_results():
        _run(job, images, console, as_json)


def _run(job: Job, images: list[str] | None, console: Console, as_json: bool) -> None:
    from camviz.engine.devices import check_device
    from camviz.models.load import plan, to_device

    check_device(job.device)
    source = plan(job.model)

    from camviz.doctor import examined  # from here on torch is imported
    from camviz.doctor.examination import Examination

    network = to_device(source.build(), job.device)
    diagnosis = examined(Examination(network, job, _pictures(images, console)))
    console.result(json.dumps(diagnosis.to_dict(), ensure_ascii=False) if as_json else str(diagnosis))


def _pictures(images: list[str] | None, console: Console) -> list[Picture]:
    """The first readable pictures of what was named."""
    from camviz.demo import sample_folder
    from camviz.doctor.examination import MOST
    from camviz.errors import InputError
    from camviz.pictures import read_picture
    from camviz.run.inputs import list_inputs

    found: list[Picture] = []
    last: InputError | None = None
    for source in list_inputs(images or [str(sample_folder())]):
        try:
            if source.error:
                raise source.error
            found.append(read_picture(source.path))
        except InputError as error:
            last = error
            console.error(error)
        if len(found) == MOST:
            break
    if last and not found:
        raise last
    return found


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Try: camviz doctor --weights none")(doctor)
