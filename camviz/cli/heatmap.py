"""`camviz heatmap`: overlays."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from camviz.cli.console import Console
from camviz.cli.options import (
    ComputeOptions,
    Images,
    Layers,
    LookOptions,
    MethodOptions,
    ModelOptions,
    OutputOptions,
    Targets,
    several,
    with_groups,
)
from camviz.types import Job

Fit = Annotated[
    Literal["model", "whole", "squash"],
    typer.Option(
        "--fit", help="What the network sees: its own crop, the whole picture at its aspect ratio, or squashed."
    ),
]
SaveRaw = Annotated[bool, typer.Option("--save-raw", help="Also write each raw map: .npy, float32, layer-sized.")]


@with_groups
def heatmap(
    how: MethodOptions,
    model: ModelOptions,
    compute: ComputeOptions,
    look: LookOptions,
    out: OutputOptions,
    images: Images = None,
    layer: Layers = None,
    target: Targets = None,
    fit: Fit = "model",
    save_raw: SaveRaw = False,
) -> None:
    """Heatmaps over pictures: what speaks for a class, and where."""
    job = Job(
        model=model.request(images=bool(images)),
        layers=several(layer),
        methods=several(how.method, ["gradcam"]),
        targets=tuple(target or ["top1"]),
        score=how.score,
        fit=fit,
        device=compute.device,
        precision=compute.precision,
        batch_size=compute.batch_size,
        settings=how.settings(),
        smooth=how.smooth,
        fuse=how.fuse,
        seed=how.seed,
        save_raw=save_raw,
        look=look.look(),
    )
    console = Console(out.quiet)
    with console.only_results():
        status = _run(job, images or [], out, console)
    raise typer.Exit(status)


def _run(job: Job, images: list[str], out: OutputOptions, console: Console) -> int:
    from camviz.demo import sample_folder
    from camviz.engine.devices import check_device
    from camviz.methods import choose
    from camviz.models.load import plan, to_device
    from camviz.run.files import check_folder, prepare_folder
    from camviz.run.inputs import list_inputs
    from camviz.run.report import Report
    from camviz.tasks.classification import parse_targets

    choose(job.methods, job.settings, job.smooth)
    check_device(job.device)
    planned = plan(job.model)
    if planned.labels:  # a wrong class is told before torch is even imported
        parse_targets(job.targets, planned.labels, planned.name)
    check_folder(out.output, images)

    from camviz.engine.explain import Explainer  # from here on torch is imported
    from camviz.run.pipeline import write_heatmaps

    model = to_device(planned.build(), job.device)
    for note in model.notes:
        console.say(f"note: {note}")
    if not images:
        console.say("no image given: the bundled samples")
    bar = console.bar()
    explainer = Explainer(model, job, bar.scored)
    prepare_folder(out.output)  # the request is right: from here on there is something to write
    if not job.layers:
        console.say(f"layer: {explainer.layers[0].path} of {model.name} (--layer chooses another)")
    report = Report()
    inputs = list_inputs(images or [str(sample_folder())], skip=out.output)
    written = write_heatmaps(job, explainer, inputs, out.output, report, lambda _, error: console.error(error))
    with bar:
        for one in written:
            bar.written(report.done)
            for shown in one.facts.get("maps", [one.facts]):
                if "note" in shown and one.facts["kind"] != "raw":
                    console.say(f"note: {one.path.name}, {shown['method']}: {shown['note']}")
            console.result(one.to_json() if out.json else str(one.path))
    for name, why in explainer.skipped.items():
        console.say(f"skipped: {name}: {why}")
    console.say(f"{report.summary()} in {out.output}")
    return report.exit_status


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog="Try: camviz heatmap photo.jpg --model resnet50 --target 'tabby' --layout panel", no_args_is_help=False
    )(heatmap)
