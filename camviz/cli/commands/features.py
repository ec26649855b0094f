"""`camviz features`: feature maps of a layer as figures."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from camviz.cli.config import refuse_typed
from camviz.cli.console import Console
from camviz.cli.names import FORMAT
from camviz.cli.options import (
    ClusterOptions,
    Colormap,
    ComputeOptions,
    Fit,
    Images,
    Layers,
    ModelOptions,
    OutputOptions,
    ResumeOptions,
    SaveRaw,
    several,
)
from camviz.cli.registry import command
from camviz.cli.session import Work
from camviz.errors import RequestError

if TYPE_CHECKING:
    from camviz.feature_maps.job import FeatureJob
    from camviz.run.output.written import Written

Rank = Annotated[
    Literal["energy", "variance", "peak", "contribution", "index"],
    typer.Option("--rank", help="Order of the channels; contribution: to the score of --target."),
]
Top = Annotated[int, typer.Option("--top", min=0, help="Number of channels or groups; 0: as many as fit a page.")]
Channels = Annotated[
    list[str] | None,
    typer.Option("--channel", metavar="CHANNELS", help="Only these channels: 3,17,40-60.", show_default=False),
]
Reduce = Annotated[
    Literal["mean", "sum", "max", "l2", "pca", "cluster"] | None,
    typer.Option("--reduce", help="Reduce all channels to one image; cluster: one tile per group.", show_default=False),
]
Overlay = Annotated[
    bool, typer.Option("--overlay", help="Draw the reduced map over the image.", rich_help_panel="Drawing")
]
Scale = Annotated[
    Literal["channel", "layer", "run"],
    typer.Option("--scale", help="Normalize colors per channel, per layer or over the run.", rich_help_panel="Drawing"),
]
Layout = Annotated[
    Literal["grid", "strip"], typer.Option("--layout", help="strip: one feature map per layer, from input to output.")
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="png, jpg or webp; for a strip also gif and mp4.",
        rich_help_panel="Drawing",
        autocompletion=FORMAT.complete,
    ),
]
Attention = Annotated[
    bool,
    typer.Option(
        "--attention", help="Draw the attention of each head of a transformer block.", rich_help_panel="Method"
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        help="Class for --rank contribution. Default: top1.",
        show_default=False,
        rich_help_panel="Method",
    ),
]


@command(
    section="Look inside",
    order=1,
    examples=(
        "camviz features --layer features.3",
        "camviz features photo.jpg --reduce pca --overlay",
        "camviz features photo.jpg -m resnet50 --layout strip",
        "camviz features photo.jpg -m resnet50 --layer layer4 --rank contribution",
    ),
)
def features(
    console: Console,
    context: typer.Context,
    model: ModelOptions,
    compute: ComputeOptions,
    out: OutputOptions,
    again: ResumeOptions,
    cluster: ClusterOptions,
    images: Images = None,
    layer: Layers = None,
    attention: Attention = False,
    rank: Rank = "energy",
    top: Top = 0,
    channels: Channels = None,
    reduce: Reduce = None,
    overlay: Overlay = False,
    scale: Scale = "layer",
    layout: Layout = "grid",
    target: Target = None,
    fit: Fit = "model",
    colormap: Colormap = None,
    format: Format = "png",
    save_raw: SaveRaw = False,
) -> int:
    """Draw feature maps: channels, groups, or a strip of layers."""
    from camviz.feature_maps.figures import Style
    from camviz.feature_maps.job import FeatureJob
    from camviz.render import colormap_names
    from camviz.render.color import one_of

    if colormap:
        one_of("color map", colormap, colormap_names())
    style = Style(rank, top, several(channels), scale, colormap)
    job = FeatureJob(style, reduce, layout, overlay, fit, format, compute.batch_size, save_raw, attention)
    job.check()
    if channels or layout == "strip" or reduce not in (None, "cluster"):
        refuse_typed(context, "top", _beside(channels, layout, reduce))
    if job.twice:
        cluster.refuse_parts(job.why_twice)
    work = Work(model.request(images=bool(images)), compute.device, images, out, console, again, cluster=cluster)
    return _run(job, work, several(layer), _target(target, rank), compute.precision)


def _beside(channels: list[str] | None, layout: str, reduce: str | None) -> str:
    """The option beside which --top says nothing."""
    if channels:
        return f"--channel {','.join(channels)}"
    return f"--layout {layout}" if reduce is None else f"--reduce {reduce}"


def _target(targets: list[str] | None, rank: str) -> str:
    """The one target that channels contribute to, "" when nobody asks."""
    if targets and len(targets) > 1:
        raise RequestError(f"{len(targets)} targets, but channels are ranked for one", f"--target '{targets[0]}'")
    if targets and rank != "contribution":
        raise RequestError(f"--target '{targets[0]}' has no effect with --rank {rank}", "--rank contribution")
    return targets[0] if targets else "top1" if rank == "contribution" else ""


def _run(job: FeatureJob, work: Work, patterns: tuple[str, ...], target: str, precision: str) -> int:
    if target:
        work.check_targets([target])

    asked = {"model": asdict(work.request), "layers": patterns, "target": target, "precision": precision}
    settings = {**asdict(job), **asked, "device": work.device, "contents": work.contents}
    with work.run("features", settings, together=job.twice) as run:
        if work.again.dry_run or run.complete():
            return work.nothing_to_compute(run)

        from camviz.run.distributed.ray_tasks import Drawing
        from camviz.run.features import Asked, extractor_for  # from here on torch is imported
        from camviz.run.features import features as figures

        model, wanted = work.load(), Asked(patterns, target, precision)
        extractor = extractor_for(job, model, wanted)
        if not patterns:
            work.console.layers(extractor.names, model.name)
        if work.cluster.engine == "ray":
            answers = work.spread(run, lambda place: Drawing(work.request, work.device, job, wanted, place))
            return work.tell_records(run, (record for answer in answers for record in answer.records), _notes)
        inputs = work.missing(run)
        return work.tell_records(run, figures(job, extractor, inputs, work.workplace(run)), _notes)


def _notes(one: Written) -> list[str]:
    return [f"{one.path.name}: {one.facts['note']}"] if "note" in one.facts else []
