"""`camviz features`: feature maps of a layer as figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    PrintOptions,
    ResumeOptions,
    SaveRaw,
    several,
)
from camviz.cli.registry import command
from camviz.cli.session import Session, request_of
from camviz.errors import RequestError

if TYPE_CHECKING:
    from camviz.feature_maps.request import FeatureRequest

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
    Literal["channel", "layer", "run"] | None,
    typer.Option(
        "--scale",
        help="Normalize colors per channel, per layer or over the run. Default: per layer; attention per head.",
        show_default=False,
        rich_help_panel="Drawing",
    ),
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


@dataclass
class PatchOptions:
    """What is drawn of patches instead of channels."""

    attention: Annotated[
        bool,
        typer.Option(
            "--attention", help="Draw the attention of each head of a transformer block.", rich_help_panel="Method"
        ),
    ] = False
    like: Annotated[
        list[str] | None,
        typer.Option(
            "--like",
            metavar="IMAGE:X,Y",
            help="Draw the similarity of patches to the one there. Repeatable.",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None
    correspond: Annotated[
        str | None,
        typer.Option(
            "--correspond",
            metavar="IMAGE",
            help="Draw the patches that match those of IMAGE.",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None
    foreground: Annotated[
        bool,
        typer.Option(
            "--foreground", help="With --reduce pca: the background stays as it is.", rich_help_panel="Drawing"
        ),
    ] = False

    def applied(self, request: FeatureRequest) -> FeatureRequest:
        """Return the request with these options."""
        like, correspond = tuple(self.like or ()), self.correspond or ""
        return replace(request, attention=self.attention, foreground=self.foreground, like=like, correspond=correspond)


@command(
    section="Look inside",
    order=1,
    examples=(
        "camviz features --layer features.3",
        "camviz features photos/ --reduce pca --foreground",
        "camviz features photo.jpg --like photo.jpg:30,20",
        "camviz features photo.jpg -m resnet50 --layout strip",
        "camviz features photo.jpg -m resnet50 --layer layer4 --rank contribution",
    ),
)
def features(
    console: Console,
    context: typer.Context,
    model: ModelOptions,
    compute: ComputeOptions,
    drawing: PrintOptions,
    out: OutputOptions,
    again: ResumeOptions,
    cluster: ClusterOptions,
    patches: PatchOptions,
    images: Images = None,
    layer: Layers = None,
    rank: Rank = "energy",
    top: Top = 0,
    channels: Channels = None,
    reduce: Reduce = None,
    overlay: Overlay = False,
    scale: Scale = None,
    layout: Layout = "grid",
    target: Target = None,
    fit: Fit = "model",
    colormap: Colormap = None,
    format: Format = "png",
    save_raw: SaveRaw = False,
) -> int:
    """Draw feature maps: channels, groups, or a strip of layers."""
    from camviz.feature_maps.figures import FeatureStyle
    from camviz.feature_maps.request import FeatureRequest
    from camviz.render.color import check_colormap
    from camviz.run.resume import digests
    from camviz.run.settings import FeatureSettings

    if colormap:
        check_colormap(colormap)
    style = FeatureStyle(rank, top, several(channels), scale or "", colormap, style=drawing.style())
    job = FeatureRequest(style, reduce, layout, overlay, fit, format, compute.batch_size, save_raw)
    job = patches.applied(job)
    job.check()
    if channels or layout == "strip" or reduce not in (None, "cluster"):
        refuse_typed(context, "top", _beside(channels, layout, reduce))
    if job.twice:
        cluster.refuse_parts(job.why_twice)
    request = request_of(model, None, compute, images, layer, _target(target, rank), fit)
    settings = FeatureSettings(request, job, digests(job.references))
    session = Session.of(settings, images, out, console, again, cluster=cluster)
    if request.targets:
        session.check_targets(request.targets)
    return session.execute(settings)


def _beside(channels: list[str] | None, layout: str, reduce: str | None) -> str:
    """Return the option with which --top has no effect."""
    if channels:
        return f"--channel {','.join(channels)}"
    return f"--layout {layout}" if reduce is None else f"--reduce {reduce}"


def _target(targets: list[str] | None, rank: str) -> list[str]:
    """Return the target that channels are ranked for, if any."""
    if targets and len(targets) > 1:
        raise RequestError(f"{len(targets)} targets, but channels are ranked for one", f"--target '{targets[0]}'")
    if targets and rank != "contribution":
        raise RequestError(f"--target '{targets[0]}' has no effect with --rank {rank}", "--rank contribution")
    return targets or (["top1"] if rank == "contribution" else [])
