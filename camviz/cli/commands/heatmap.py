"""`camviz heatmap`: heatmaps over images and videos."""

from __future__ import annotations

from typing import Annotated

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
from camviz.cli.session import Session, request_of

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
    from camviz.run.settings import HeatmapSettings

    drawn = look.look(films=True)
    request = request_of(
        model, how, compute, images, layer, target, fit, floor=floor, save_raw=save_raw, every=every, look=drawn
    )
    settings = HeatmapSettings(request)
    session = Session.of(settings, images, out, console, again, cluster=cluster)
    session.check(request)
    return session.execute(settings)
