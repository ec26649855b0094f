"""Which images, layers and targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from camviz import types
from camviz.cli.names import choices

Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES",
        help="Files, folders (recursive), globs, URLs, or - to read paths from stdin. Default: the bundled samples.",
        show_default=False,
    ),
]
LAYER = "Dotted path; globs and negative indices work: layer4.-1, 'features.*'. Several: a,b or repeated."
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", "-l", help=f"{LAYER} Default: the last spatial stage.", show_default=False),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        help="top1, top3, a class name or index, 'cat vs dog'; box:0, all (detection); point:X,Y, mask:FILE "
        "(segmentation). Repeatable. Default: top1, or box:0.",
        show_default=False,
        autocompletion=choices("target", "top1", "top3", "top5", "all").complete,
    ),
]
Fit = Annotated[
    types.Fit,
    typer.Option(
        "--fit",
        help="Input of the model: its own crop, the whole image at its aspect ratio, or squashed to the input size.",
        rich_help_panel="Model",
    ),
]


def several(texts: Sequence[str] | None, default: Sequence[str] = ()) -> tuple[str, ...]:
    """Return repeated options and comma-separated lists as one tuple without duplicates."""
    parts = [part.strip() for text in texts or default for part in text.split(",") if part.strip()]
    return tuple(dict.fromkeys(parts))
