"""`camviz reconstruct`: feature inversion."""

from __future__ import annotations

from typing import Annotated

import typer

from camviz.cli.console import Console
from camviz.cli.options import LAYER, ComputeOptions, Fit, Images, ModelOptions, OutputOptions, ResumeOptions
from camviz.cli.registry import command
from camviz.cli.session import Session, request_of

Layer = Annotated[
    list[str] | None,
    typer.Option("--layer", "-l", help=f"{LAYER} Default: the last layer of each resolution.", show_default=False),
]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Optimization steps per layer.")]
Variation = Annotated[float, typer.Option("--tv", min=0, help="Weight of the total variation; higher is smoother.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the initial noise.")]


@command(
    section="Look inside",
    order=5,
    examples=(
        "camviz reconstruct photo.jpg",
        "camviz reconstruct photo.jpg -m resnet50 --layer layer2,layer4",
    ),
)
def reconstruct(
    console: Console,
    model: ModelOptions,
    compute: ComputeOptions,
    out: OutputOptions,
    again: ResumeOptions,
    images: Images = None,
    layer: Layer = None,
    fit: Fit = "model",
    steps: Steps = 256,
    tv: Variation = 2.0,
    seed: Seed = 0,
) -> int:
    """Find images with the same features as yours at each layer.

    Feature inversion: shows which information a layer keeps.
    """
    from camviz.run.settings import ReconstructSettings

    settings = ReconstructSettings(request_of(model, None, compute, images, layer, None, fit, seed=seed), steps, tv)
    return Session.of(settings, images, out, console, again).execute(settings)
