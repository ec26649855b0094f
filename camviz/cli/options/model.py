"""Which model, and how images are preprocessed for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from camviz import types
from camviz.cli.names import MODEL, TASK, WEIGHTS
from camviz.cli.parsing import key_values, numbers, pair, size
from camviz.types import ModelRequest

_PANEL = "Model"
_MODEL = "A name listed by 'camviz models', timm:NAME, hf:NAME, net.py:Net or a weights file."
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Run code stored in the checkpoint; only for files you trust.",
        rich_help_panel=_PANEL,
    ),
]


@dataclass
class ModelOptions:
    """The model."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help=f"{_MODEL} Default: mobilenet_v3_large; demo without images.",
            show_default=False,
            rich_help_panel=_PANEL,
            autocompletion=MODEL.complete,
        ),
    ] = None
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            metavar="NAME",
            help="default, none or random (untrained; compare: the trained weights randomized), a name, or a file.",
            rich_help_panel=_PANEL,
            autocompletion=WEIGHTS.complete,
        ),
    ] = "default"
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            "-c",
            metavar="FILE",
            help="Your own weights: .pth, .ckpt, .safetensors, …",
            rich_help_panel=_PANEL,
        ),
    ] = None
    checkpoint_key: Annotated[
        str | None,
        typer.Option(
            "--checkpoint-key",
            metavar="KEY",
            help="Which weights of the checkpoint to load where it has several: student, teacher, ema.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="FILE", help="Class names: one per line, or JSON.", rich_help_panel=_PANEL),
    ] = None
    model_args: Annotated[
        list[str] | None,
        typer.Option(
            "--model-args",
            metavar="KEY=VALUE",
            help="Arguments of the class or function in a Python file, or of timm: depth=20. Repeatable.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    allow_pickle: AllowPickle = False
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input-size",
            metavar="SIZE",
            help="Input of the model in pixels: WIDTHxHEIGHT, or one number. Default: the model's own.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    mean: Annotated[
        str | None,
        typer.Option(
            "--mean",
            metavar="NUMBERS",
            help="Normalization mean for pixels in [0, 1], e.g. 0.485,0.456,0.406. Default: the model's own.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    std: Annotated[
        str | None,
        typer.Option(
            "--std",
            metavar="NUMBERS",
            help="Normalization std for pixels in [0, 1], e.g. 0.229,0.224,0.225. Default: the model's own.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    input: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=FILE",
            help="Further argument of the forward: an image, an array (.npy, .npz, .pt), a number, or a folder with a "
            "file per image. Repeatable.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    range: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="LOW,HIGH",
            help="Values of black and white for the model, e.g. -1,1 or 0,255. Default: 0,1 before --mean and --std.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            metavar="LOW,HIGH",
            help="Stored values shown as black and white, for 16-bit and float images. Default: by bit depth or range.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    channel_order: Annotated[
        types.Order,
        typer.Option(
            "--channel-order", help="bgr: for models trained on images read by OpenCV.", rich_help_panel=_PANEL
        ),
    ] = "rgb"
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="classification, detection, segmentation, embedding, … Default: recognized from the output.",
            rich_help_panel=_PANEL,
            autocompletion=TASK.complete,
        ),
    ] = None
    output_key: Annotated[
        str | None,
        typer.Option(
            "--output-key",
            help="Which part of the model's output to use: logits, 0, aux.",
            rich_help_panel=_PANEL,
        ),
    ] = None

    def request(self, images: bool = False) -> ModelRequest:
        """Return the request for a model; its default depends on whether there are images."""
        return ModelRequest(
            self.model or ("mobilenet_v3_large" if images else "demo"),
            self.weights,
            self.checkpoint,
            self.labels,
            key_values("--model-args", self.model_args, "depth=20"),
            self.allow_pickle,
            size(self.input_size),
            numbers("--mean", self.mean),
            numbers("--std", self.std),
            self.channel_order,
            self._task(),
            self.output_key or "",
            self.checkpoint_key or "",
            range=pair("--range", self.range),
            window=pair("--window", self.window),
            inputs=key_values("--input", self.input, "after=after.png"),
        )

    def _task(self) -> str:
        from camviz.tasks import TASKS

        return TASKS.find(self.task).name if self.task else ""


@dataclass
class ModelWithoutImagesOptions(ModelOptions):
    """The model of a command that needs no images."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help=f"{_MODEL} Default: demo.",
            show_default=False,
            rich_help_panel=_PANEL,
            autocompletion=MODEL.complete,
        ),
    ] = None
