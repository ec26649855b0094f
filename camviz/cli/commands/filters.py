"""`camviz filters`: the kernels of a convolution as images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from camviz.cli.config import refuse_typed
from camviz.cli.console import Console
from camviz.cli.names import COLORMAP, FORMAT
from camviz.cli.options import LAYER, ModelWithoutImagesOptions, OutputOptions, PrintOptions, several
from camviz.cli.registry import command
from camviz.cli.session import Session

if TYPE_CHECKING:
    from camviz.feature_maps.kernel_figures import KernelStyle
    from camviz.run.output.written import Written
    from camviz.types import Figure, Model

Layer = Annotated[
    list[str] | None,
    typer.Option("--layer", "-l", help=f"{LAYER} Default: the first convolution.", show_default=False),
]
Top = Annotated[int, typer.Option("--top", min=0, help="Number of kernels, strongest first; 0: as many as fit a page.")]
Channels = Annotated[
    list[str] | None,
    typer.Option("--channel", metavar="CHANNELS", help="Only these kernels: 3,17,40-60.", show_default=False),
]
Position = Annotated[
    bool, typer.Option("--position", help="Similarity of a transformer's position embeddings instead of kernels.")
]
Scale = Annotated[
    Literal["layer", "kernel"], typer.Option("--scale", help="Normalize colors per kernel or over the layer.")
]
Colormap = Annotated[
    str | None,
    typer.Option(
        "--colormap",
        help="A diverging colormap; not for kernels drawn in RGB.",
        show_default=False,
        autocompletion=COLORMAP.complete,
    ),
]
Format = Annotated[str, typer.Option("--format", help="png, jpg, webp, pdf or svg.", autocompletion=FORMAT.complete)]


@command(
    section="Look inside",
    order=2,
    examples=(
        "camviz filters",
        "camviz filters -m resnet50 --layer layer1.0.conv2 --top 8",
        "camviz filters -m vit_b_16 --position",
    ),
)
def filters(
    console: Console,
    context: typer.Context,
    model: ModelWithoutImagesOptions,
    drawing: PrintOptions,
    out: OutputOptions,
    layer: Layer = None,
    channel: Channels = None,
    top: Top = 0,
    position: Position = False,
    scale: Scale = "layer",
    colormap: Colormap = None,
    format: Format = "png",
) -> int:
    """Draw the kernels of a convolution, strongest first."""
    from camviz.feature_maps.channels import read_channels
    from camviz.render.color import DIVERGING, check_colormap, one_of
    from camviz.render.paper import FORMATS

    if colormap:
        check_colormap(colormap)
    one_of("format", format, FORMATS)
    printed = drawing.style()
    read_channels(several(channel))
    if channel:
        refuse_typed(context, "top", f"--channel {','.join(channel)}")
    session = Session([model.request()], "cpu", None, out, console)

    from camviz.feature_maps.kernel_figures import KernelStyle  # from here on torch is imported

    style = KernelStyle(top, several(channel), scale == "kernel", colormap or DIVERGING, format, printed)
    loaded = session.load()
    written = _positions(loaded, style) if position else _kernels(loaded, style, several(layer), console)
    return session.report(_write(session, loaded, list(written), format))


def _kernels(
    model: Model, style: KernelStyle, patterns: tuple[str, ...], console: Console
) -> Iterator[tuple[str, Figure]]:
    from camviz.feature_maps.filters import find_kernels
    from camviz.feature_maps.kernel_figures import draw_kernels

    for kernels in find_kernels(model, patterns):
        if not patterns:
            console.layers([kernels.layer], model.name)
        yield kernels.layer, draw_kernels(kernels, style)


def _positions(model: Model, style: KernelStyle) -> Iterator[tuple[str, Figure]]:
    from camviz.feature_maps.filters import find_positions
    from camviz.feature_maps.kernel_figures import draw_positions

    found = find_positions(model)
    yield found.name, draw_positions(found, style.format, style.colormap, style.style)


def _write(session: Session, model: Model, artifacts: list[tuple[str, Figure]], format: str) -> Iterator[Written]:
    from camviz.run.output.files import prepare_folder
    from camviz.run.output.layer_figures import write_layer_figure

    prepare_folder(session.folder)
    for layer, figure in artifacts:
        yield write_layer_figure(figure, session.folder, model.name, layer, format)
