"""`camviz heatmap`: overlays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from camviz.cli.cluster import ClusterOptions
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
    ResumeOptions,
    SaveRaw,
    Targets,
    with_groups,
)
from camviz.cli.work import Work, job_of

if TYPE_CHECKING:
    from camviz.run.records import Record
    from camviz.run.resume import Run
    from camviz.run.written import Written
    from camviz.types import Job

Every = Annotated[
    int, typer.Option("--every", min=1, help="Of a video: every so many frames.", rich_help_panel="Computing")
]


@with_groups
def heatmap(
    how: MethodOptions,
    model: ModelOptions,
    compute: ComputeOptions,
    look: LookOptions,
    out: OutputOptions,
    again: ResumeOptions,
    cluster: ClusterOptions,
    images: Images = None,
    layer: Layers = None,
    target: Targets = None,
    fit: Fit = "model",
    save_raw: SaveRaw = False,
    every: Every = 1,
) -> None:
    """Heatmaps over pictures and videos: what speaks for a class, and where."""
    drawn = look.look(films=True)
    job = job_of(model, how, compute, images, layer, target, fit, save_raw=save_raw, every=every, look=drawn)
    console = Console(out.quiet)
    with console.only_results():
        status = _run(job, Work(job.model, job.device, images, out, console, again, cluster=cluster))
    raise typer.Exit(status)


def _run(job: Job, work: Work) -> int:
    work.check(job)
    with work.run("heatmap", {**asdict(job), "contents": work.contents}) as run:
        if work.again.dry_run or run.complete():
            return work.nothing_to_compute(run)

        from camviz.engine.explain import Explainer  # from here on torch is imported
        from camviz.run.pipeline import heatmaps

        model = work.load(clips=True)
        explainer = Explainer(model, job, work.bar.scored)
        for note in explainer.notes:
            work.console.say(f"note: {note}")
        if not job.layers and explainer.layers:
            work.console.say(f"layer: {explainer.layers[0].path} of {model.name} (--layer chooses another)")
        if work.cluster.engine == "ray":
            records = _spread(job, work, run, explainer.skipped)
        else:
            records = heatmaps(job, explainer, work.missing(run), work.how(run))
        status = work.tell_records(run, records, _notes)
        for name, why in explainer.skipped.items():
            work.console.say(f"skipped: {name}: {why}")
        return status


def _spread(job: Job, work: Work, run: Run, skipped: dict[str, str]) -> Iterator[Record]:
    """The records that other processes make."""
    from camviz.run.units import Explaining

    for answer in work.spread(run, lambda place: Explaining(job, place)):
        skipped.update(answer.skipped)
        yield from answer.records


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
