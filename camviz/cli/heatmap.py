"""`camviz heatmap`: overlays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from camviz.cli.console import Console
from camviz.cli.options import (
    ComputeOptions,
    Fit,
    Images,
    Layers,
    LookOptions,
    MethodOptions,
    ModelOptions,
    OutputOptions,
    SaveRaw,
    Targets,
    several,
    with_groups,
)
from camviz.cli.work import Work
from camviz.types import Job

if TYPE_CHECKING:
    from camviz.run.written import Written


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
        methods=several(how.method),
        targets=tuple(target or ()),
        score=how.score,
        min_score=how.min_score,
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
        status = _run(job, Work(job.model, job.device, images, out, console))
    raise typer.Exit(status)


def _run(job: Job, work: Work) -> int:
    from camviz.methods import choose
    from camviz.tasks import TASKS, task_named

    task = task_named(work.plan.task, job.targets)
    usual = [TASKS.find(task).call.method] if task else []
    if job.methods or usual:
        choose(job.methods or usual, job.settings, job.smooth)
    if work.plan.labels and task:  # a wrong class is told before torch is even imported
        TASKS.find(task).call(work.plan.name, work.plan.labels).parse(job.targets)

    from camviz.engine.explain import Explainer  # from here on torch is imported
    from camviz.run.pipeline import write_heatmaps

    model = work.load()
    explainer = Explainer(model, job, work.bar.scored)
    if not job.layers:
        work.console.say(f"layer: {explainer.layers[0].path} of {model.name} (--layer chooses another)")
    if not job.methods and explainer.task.method != "gradcam":
        work.console.say(f"method: {explainer.task.method} (--method chooses another)")
    written = write_heatmaps(job, explainer, work.inputs(), work.folder, work.report, work.failed)
    status = work.tell(written, _notes)
    for name, why in explainer.skipped.items():
        work.console.say(f"skipped: {name}: {why}")
    return status


def _notes(one: Written) -> list[str]:
    """Why maps of a file show nothing."""
    if one.facts["kind"] == "raw":
        return []
    shown = one.facts.get("maps", [one.facts])
    return [f"{one.path.name}, {facts['method']}: {facts['note']}" for facts in shown if "note" in facts]


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog="Try: camviz heatmap photo.jpg --model resnet50 --target 'tabby' --layout panel", no_args_is_help=False
    )(heatmap)
