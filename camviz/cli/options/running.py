"""Where and how a command computes, where its results go, and what it does about earlier results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from camviz import types
from camviz.cli.names import DEVICE
from camviz.io.paths import place

_COMPUTING, _OUTPUT = "Computing", "Output"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.", rich_help_panel=_OUTPUT)]
SaveRaw = Annotated[
    bool, typer.Option("--save-raw", help="Also write the raw values: .npy, float32.", rich_help_panel=_OUTPUT)
]


@dataclass
class ComputeOptions:
    """Where and how it is computed."""

    device: Annotated[
        str,
        typer.Option(
            "--device",
            help="auto, cpu, cuda, cuda:N or mps.",
            rich_help_panel=_COMPUTING,
            autocompletion=DEVICE.complete,
        ),
    ] = "auto"
    precision: Annotated[
        types.Precision,
        typer.Option(
            "--precision", help="Precision of the forward pass; maps are float32.", rich_help_panel=_COMPUTING
        ),
    ] = "fp32"
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            min=0,
            help="Images, or masks, per forward pass; 0: chosen for the device.",
            rich_help_panel=_COMPUTING,
        ),
    ] = 0


@dataclass
class OutputOptions:
    """Where results go and what is printed."""

    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            parser=place,
            metavar="PATH",
            help="Folder for the results, or the file of a single figure: map.png.",
            rich_help_panel=_OUTPUT,
        ),
    ] = Path("camviz_out")
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object per file instead of its path.", rich_help_panel=_OUTPUT),
    ] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but errors on stderr.", rich_help_panel=_OUTPUT)
    ] = False


@dataclass
class ResumeOptions:
    """What to do about images that an earlier run in the same folder has computed."""

    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Recompute everything.", rich_help_panel=_OUTPUT),
    ] = False
    retry: Annotated[bool, typer.Option("--retry", help="Retry failed images.", rich_help_panel=_OUTPUT)] = False
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="List the images to compute and write nothing.", rich_help_panel=_OUTPUT),
    ] = False
