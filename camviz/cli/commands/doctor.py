"""`camviz doctor`: find out why a map is blank or wrong."""

from __future__ import annotations

import json
from itertools import islice
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
from camviz.cli.session import Work, job_of


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
    job = job_of(model, how, compute, images, layer, target, fit)
    work = Work(job.model, job.device, images, OutputOptions(Path(), as_json, console.quiet), console, writes=False)
    work.check(job)

    from camviz.doctor import examined  # from here on torch is imported
    from camviz.doctor.examination import MOST, Examination
    from camviz.run.reading import read_inputs

    loaded = work.load()
    ready = islice(read_inputs(loaded, work.inputs(), job.fit, work.failed), MOST)
    decoded = [one.image for one in ready]
    if decoded:
        diagnosis = examined(Examination(loaded, job, decoded))
        console.result(json.dumps(diagnosis.to_dict(), ensure_ascii=False) if as_json else str(diagnosis))
    return work.outcome.exit_status
