"""`camviz patches`: top-activating image patches per channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from camviz.cli.console import Console
from camviz.cli.names import FORMAT
from camviz.cli.options import ComputeOptions, Fit, Images, Layers, ModelOptions, OutputOptions, several
from camviz.cli.registry import command
from camviz.cli.session import Work

if TYPE_CHECKING:
    from camviz.run.patches import PatchJob

Channels = Annotated[
    list[str] | None,
    typer.Option(
        "--channel",
        metavar="CHANNELS",
        help="Only these channels: 3,17,40-60. Default: the first 12 by --rank.",
        show_default=False,
    ),
]
Rank = Annotated[
    Literal["energy", "peak"],
    typer.Option("--rank", help="Order of the channels: by mean square over all images, or by highest peak."),
]
Top = Annotated[int, typer.Option("--top", min=1, max=32, help="Number of patches per channel.")]
Format = Annotated[str, typer.Option("--format", help="png, jpg or webp.", autocompletion=FORMAT.complete)]


@command(
    section="Look inside",
    order=3,
    examples=(
        "camviz patches --layer features.3",
        "camviz patches photos/ -m resnet50 --layer layer3 --channel 0-7",
    ),
)
def patches(
    console: Console,
    model: ModelOptions,
    compute: ComputeOptions,
    out: OutputOptions,
    images: Images = None,
    layer: Layers = None,
    channel: Channels = None,
    rank: Rank = "energy",
    top: Top = 8,
    fit: Fit = "model",
    format: Format = "png",
) -> int:
    """Find the top-activating patches per channel.

    At most one patch per image, cropped to the receptive field.
    """
    from camviz.feature_maps.channels import read_channels
    from camviz.render.encoding import suffix

    suffix(format)
    channels = several(channel)
    read_channels(channels)
    work = Work(model.request(images=bool(images)), compute.device, images, out, console)

    from camviz.run.patches import PatchJob  # from here on torch is imported

    job = PatchJob(channels, rank, top, fit, format, compute.batch_size)
    return _run(job, work, several(layer), compute.precision)


def _run(job: PatchJob, work: Work, patterns: tuple[str, ...], precision: str) -> int:
    from camviz.feature_maps.extract import Extractor
    from camviz.models.layers import find_layers
    from camviz.run.patches import write_patches

    model = work.load()
    layers = find_layers(model, patterns)
    for one in layers:
        job.chosen(one)
    if not patterns:
        work.console.layers([layers[0].path], model.name)
    extractor = Extractor(model, layers, precision=precision)
    written = write_patches(
        job, extractor, work.inputs(), work.folder, work.outcome, work.failed, lambda _: work.bar.update(work.outcome)
    )
    status = work.tell(written)
    if 0 < work.outcome.done < job.top:
        work.console.say(f"note: {work.outcome.done} image(s) for --top {job.top}: that many patches at most")
    return status
