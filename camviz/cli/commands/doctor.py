"""`camviz doctor`: find out why a map is blank or wrong."""

from __future__ import annotations

from pathlib import Path

from camviz.cli.console import Console
from camviz.cli.options import (
    ComputeOptions,
    Fit,
    Images,
    Json,
    Layers,
    MethodOptions,
    ModelOptions,
    OutputOptions,
    Targets,
)
from camviz.cli.registry import command
from camviz.cli.session import Session, request_of
from camviz.errors import InputError
from camviz.io.texts import json_text
from camviz.types import Image


@command(
    section="Explain",
    order=5,
    examples=(
        "camviz doctor",
        "camviz doctor --weights none",
        "camviz doctor photos/ -m net.py:Net -c my.pth --labels names.txt",
    ),
)
def doctor(
    console: Console,
    how: MethodOptions,
    model: ModelOptions,
    compute: ComputeOptions,
    images: Images = None,
    layer: Layers = None,
    target: Targets = None,
    fit: Fit = "model",
    as_json: Json = False,
) -> int:
    """Find out why a map is blank or wrong.

    Checks weights, inputs, class names, layer and maps, and suggests fixes.
    """
    request = request_of(model, how, compute, images, layer, target, fit)
    session = Session(
        [request.model], request.device, images, OutputOptions(Path(), as_json, console.quiet), console, writes=False
    )
    session.check(request)

    from camviz.doctor import examined  # from here on torch is imported
    from camviz.doctor.examination import Examination, most_images, spread_out
    from camviz.run.reading import read_input

    loaded = session.load()
    decoded: list[Image] = []
    most = most_images(loaded)
    for source in spread_out(list(session.inputs()), most):
        try:
            decoded.append(read_input(loaded, source, request.fit).image)
        except InputError as error:
            session.failed(source.name, error)
        if len(decoded) == most:
            break
    if decoded:
        diagnosis = examined(Examination(loaded, request, decoded))
        console.result(json_text(diagnosis.to_dict()) if as_json else str(diagnosis))
    return session.outcome.exit_status
