"""`camviz patches`: top-activating image patches per channel."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from camviz.cli.console import Console
from camviz.cli.names import FORMAT
from camviz.cli.options import ComputeOptions, Fit, Images, Layers, ModelOptions, OutputOptions, ResumeOptions, several
from camviz.cli.registry import command
from camviz.cli.session import Session, request_of

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
    again: ResumeOptions,
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
    from camviz.run.settings import PatchSettings

    suffix(format)
    channels = several(channel)
    read_channels(channels)
    request = request_of(model, None, compute, images, layer, None, fit)
    settings = PatchSettings(request, channels, rank, top, format)
    return Session.of(settings, images, out, console, again).execute(settings)
