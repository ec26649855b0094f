"""The application: the commands, and the options that stand before them."""

from __future__ import annotations

from typing import Annotated

import typer

from camviz import __version__
from camviz.cli.config import configurable
from camviz.cli.registry import add_commands, epilog
from camviz.cli.streams import prepare_streams
from camviz.cli.typer_internals import Application

app = typer.Typer(
    cls=Application,
    name="camviz",
    help="Explain vision models: Grad-CAM heatmaps, feature maps and more, for any PyTorch model, on your images.",
    epilog=epilog("camviz heatmap", "camviz heatmap photo.jpg", "camviz layers resnet50"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"camviz {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


add_commands(app)
configurable(app)


def main() -> None:
    """Run the command line: the console script `camviz`."""
    prepare_streams()
    app(prog_name="camviz")
