"""`camviz heatmap`: heatmaps over images and videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from camviz.cli.console import Console
from camviz.cli.options import (
    ClusterOptions,
    ComputeOptions,
    Fit,
    Floor,
    Images,
    Layers,
    LookOptions,
    MethodOptions,
    ModelOptions,
    OutputOptions,
    ResumeOptions,
    SaveRaw,
    Targets,
)
from camviz.cli.registry import command
from camviz.cli.session import Work, job_of

if TYPE_CHECKING:
    from camviz.run.database.records import Record
    from camviz.run.output.written import Written
    from camviz.run.resume import Run
    from camviz.types import Job

Every = Annotated[
    int, typer.Option("--every", min=1, help="Explain only every N-th frame of a video.", rich_help_panel="Computing")
]


@command(
    section="Explain",
    order=1,
    examples=(
        "camviz heatmap",
        "camviz heatmap photo.jpg",
        "camviz heatmap photo.jpg -m resnet50 -t tabby --layout panel",
        "camviz heatmap photo.jpg --method gradcam,layercam --layout grid",
        "camviz heatmap photos/ -m net.py:Net -c my.pth --labels names.txt",
    ),
)
def heatmap(
    console: Console,
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
    floor: Floor = False,
    save_raw: SaveRaw = False,
    every: Every = 1,
) -> int:
    """Draw Grad-CAM and other heatmaps over images and videos."""
    drawn = look.look(films=True)
    job = job_of(
        model, how, compute, images, layer, target, fit, floor=floor, save_raw=save_raw, every=every, look=drawn
    )
    return _run(job, Work(job.model, job.device, images, out, console, again, cluster=cluster))


def _run(job: Job, work: Work) -> int:
    work.check(job)
    later = job.look.scale == "run"
    with work.run("heatmap", {**asdict(job), "contents": work.contents}, drawn_later=later) as run:
        if work.again.dry_run or run.complete():
            return _draw(job, work, run) if later and not work.again.dry_run else work.nothing_to_compute(run)

        from camviz.run.heatmap import heatmaps  # from here on torch is imported

        explainer = work.explainer(work.load(clips=True), job)
        if work.cluster.engine == "ray":
            records = _spread(job, work, run, explainer.skipped)
        else:
            records = heatmaps(job, explainer, work.missing(run), work.workplace(run))
        told = _Told(job, work)
        status = work.tell_records(run, records, told.notes, (lambda: _drawn(job, work, run)) if later else told.scales)
        for name, why in explainer.skipped.items():
            work.console.say(f"skipped: {name}: {why}")
        return status


def _spread(job: Job, work: Work, run: Run, skipped: dict[str, str]) -> Iterator[Record]:
    """The records that other processes make."""
    from camviz.run.distributed.ray_tasks import Explaining

    for answer in work.spread(run, lambda place: Explaining(job, place)):
        skipped.update(answer.skipped)
        yield from answer.records


def _draw(job: Job, work: Work, run: Run) -> int:
    """Draw what is not drawn yet on the one scale of the run: all maps are there."""
    return work.tell_records(run, (), _notes, lambda: _drawn(job, work, run))


def _drawn(job: Job, work: Work, run: Run) -> Iterator[Written]:
    from camviz.run.shared_scale import draw_run

    assert run.job
    write = run.open().write
    yield from draw_run(run.database, run.job, job.look, job.save_raw, work.folder, write, work.failed)


@dataclass
class _Told:
    """What was said of the files of a run, and how many of them have a scale that they do not show."""

    job: Job
    work: Work
    bare: int = 0

    def notes(self, one: Written) -> list[str]:
        """What is to be said of one file."""
        self.bare += one.facts["kind"] in ("overlay", "heatmap") and not self.job.look.colorbar
        return _notes(one)

    def scales(self) -> tuple[()]:
        """Say that maps which are looked at side by side may not be compared."""
        if self.job.look.scale == "image" and self.bare > 1:
            say = self.work.console.say
            say("scale: each map has its own (--scale row or run shares one, --layout panel shows it)")
        return ()


def _notes(one: Written) -> list[str]:
    """Why maps of a file show nothing."""
    if one.facts["kind"] == "raw":
        return []
    shown = one.facts.get("maps", [one.facts])
    return [f"{one.path.name}, {facts['method']}: {facts['note']}" for facts in shown if "note" in facts]
