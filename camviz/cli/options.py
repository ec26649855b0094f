"""Every option that more than one command has, said once. A group is a dataclass; `groups.py` spreads it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from camviz import types
from camviz.cli.parsing import key_value, numbers, size
from camviz.errors import RequestError
from camviz.io.paths import place
from camviz.types import Look, ModelRequest, Sign

Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES",
        help="Files, folders (recursive), globs, or - for paths on standard input. None: the bundled samples.",
        show_default=False,
    ),
]
LAYER = "Dotted path; negative indices and globs work: layer4.-1, 'features.*'. Several: a,b or repeated."
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", "-l", help=f"{LAYER} Default: the last spatial stage.", show_default=False),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        help="What to explain: top1, top3, an index, a class name or part of one, 'cat vs dog'; box:0 or all of a "
        "detector; point:X,Y or mask:FILE of a segmenter. Repeat for several. Default: top1, or box:0.",
        show_default=False,
    ),
]
MODEL = (
    "demo, a name of torchvision, timm:NAME, hf:FOLDER, net.py:Net, or a FILE of weights; 'camviz models' lists names."
)

Fit = Annotated[
    types.Fit,
    typer.Option("--fit", help="What the model sees: its own crop, the whole image at its aspect ratio, or squashed."),
]
Floor = Annotated[
    bool,
    typer.Option(
        "--floor",
        help="Mark maps as weak whose target has no evidence above the noise floor (scores on images without content).",
    ),
]
SaveRaw = Annotated[bool, typer.Option("--save-raw", help="Also write the raw values: .npy, float32.")]


@dataclass
class ModelOptions:
    """Which model."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help=f"{MODEL} Default: mobilenet_v3_large; demo without images.",
            show_default=False,
            rich_help_panel="Model",
        ),
    ] = None
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            metavar="NAME",
            help="default, none (untrained), a name that 'camviz models' lists, or a file.",
            rich_help_panel="Model",
        ),
    ] = "default"
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            "-c",
            metavar="FILE",
            help="Your own weights: .pth, .ckpt, .safetensors, …",
            rich_help_panel="Model",
        ),
    ] = None
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="FILE", help="Class names: one per line, or JSON.", rich_help_panel="Model"),
    ] = None
    model_args: Annotated[
        list[str] | None,
        typer.Option(
            "--model-args",
            metavar="KEY=VALUE",
            help="What a model from a Python file is made with: depth=20.",
            rich_help_panel="Model",
        ),
    ] = None
    allow_pickle: Annotated[
        bool,
        typer.Option(
            "--allow-pickle", help="Run code inside the checkpoint: only if you trust it.", rich_help_panel="Model"
        ),
    ] = False
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input-size",
            metavar="SIZE",
            help="What the model is shown: WIDTHxHEIGHT, or one number. Default: the model's own.",
            rich_help_panel="Model",
        ),
    ] = None
    mean: Annotated[
        str | None,
        typer.Option(
            "--mean",
            metavar="NUMBERS",
            help="Taken from pixels of 0 to 1, as in training: 0.5,0.5,0.5. Default: the model's own.",
            rich_help_panel="Model",
        ),
    ] = None
    std: Annotated[
        str | None,
        typer.Option(
            "--std",
            metavar="NUMBERS",
            help="By which the rest is divided, as in training: 0.5,0.5,0.5. Default: the model's own.",
            rich_help_panel="Model",
        ),
    ] = None
    channel_order: Annotated[
        types.Order,
        typer.Option("--channel-order", help="bgr: trained on what OpenCV reads.", rich_help_panel="Model"),
    ] = "rgb"
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="classification, detection, segmentation, embedding, …; a wrong one lists all. Default: as the output "
            "looks.",
            rich_help_panel="Model",
        ),
    ] = None
    output_key: Annotated[
        str | None,
        typer.Option(
            "--output-key", help="The part of a model's output that counts: logits, 0, aux.", rich_help_panel="Model"
        ),
    ] = None

    def request(self, images: bool = False) -> ModelRequest:
        """The request for a model; the default depends on whether there are images."""
        return ModelRequest(
            self.model or ("mobilenet_v3_large" if images else "demo"),
            self.weights,
            self.checkpoint,
            self.labels,
            tuple(key_value(text) for text in self.model_args or ()),
            self.allow_pickle,
            size(self.input_size),
            numbers("--mean", self.mean),
            numbers("--std", self.std),
            self.channel_order,
            self._task(),
            self.output_key or "",
        )

    def _task(self) -> str:
        from camviz.tasks import TASKS

        return TASKS.find(self.task).name if self.task else ""


@dataclass
class MethodOptions:
    """How evidence becomes a map."""

    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="'camviz methods' lists all; also all, gradients, masking, pixels, attention. "
            "Several: a,b or repeated. Default: gradcam; of boxes and regions hirescam.",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting: samples=50, or smoothgrad.samples=50 with several methods.",
            rich_help_panel="Method",
        ),
    ] = None
    score: Annotated[
        types.Score | None,
        typer.Option(
            "--score",
            help="Explain the score before or after softmax. Default: before; of a detection after.",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None
    min_score: Annotated[
        float,
        typer.Option(
            "--min-score",
            min=0,
            max=1,
            help="What a detection, or one label of several, needs to count.",
            rich_help_panel="Method",
        ),
    ] = 0.3
    smooth: Annotated[
        types.Smooth,
        typer.Option(
            "--smooth",
            help="Average over mirrored and zoomed, or over noisy inputs, or take the first component.",
            rich_help_panel="Method",
        ),
    ] = "none"
    fuse: Annotated[
        types.Fuse,
        typer.Option(
            "--fuse",
            help="One map of those of several --layer: of raw values; layercam scales shallow layers first.",
            rich_help_panel="Method",
        ),
    ] = "none"
    seed: Annotated[
        int, typer.Option("--seed", help="The same seed, the same random numbers.", rich_help_panel="Method")
    ] = 0

    def settings(self) -> tuple[tuple[str, str], ...]:
        """The settings as (name, text)."""
        pairs = []
        for text in self.setting or ():
            key, equals, value = text.partition("=")
            if not equals or not key.strip():
                raise RequestError(f"--set '{text}' is not key=value", "--set samples=50")
            pairs.append((key.strip(), value.strip()))
        return tuple(pairs)


@dataclass
class ComputeOptions:
    """Where and how it is computed."""

    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel="Computing")
    ] = "auto"
    precision: Annotated[
        types.Precision,
        typer.Option(
            "--precision", help="What the model computes in; maps are always float32.", rich_help_panel="Computing"
        ),
    ] = "fp32"
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            min=0,
            help="Images, or masks, per forward; 0 chooses for the device.",
            rich_help_panel="Computing",
        ),
    ] = 0


Colormap = Annotated[
    str | None,
    typer.Option("--colormap", help="A name such as viridis or jet; a wrong one lists all.", rich_help_panel="Drawing"),
]
Alpha = Annotated[
    float, typer.Option("--alpha", help="0: the image alone, 1: the colors alone.", rich_help_panel="Drawing")
]
Signs = Annotated[
    Sign,
    typer.Option("--sign", help="Evidence for, against, or both on a diverging scale.", rich_help_panel="Drawing"),
]


@dataclass
class LookOptions:
    """How maps are drawn."""

    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            help="overlay, panel, heatmap; grid: all maps of an image in one figure.",
            rich_help_panel="Drawing",
        ),
    ] = "overlay"
    colormap: Colormap = None
    alpha: Alpha = 0.5
    sign: Signs = "positive"
    scale: Annotated[
        str,
        typer.Option(
            "--scale",
            help="What has full color: the largest value of the image's map, of the row (all maps of an image), "
            "of the run, or fixed:2.5.",
            rich_help_panel="Drawing",
        ),
    ] = "image"
    format: Annotated[
        str, typer.Option("--format", help="png, jpg or webp; of a video mp4, or gif.", rich_help_panel="Drawing")
    ] = "png"
    colorbar: Annotated[
        bool | None,
        typer.Option(
            "--colorbar/--no-colorbar",
            help="The scale beside the map. Default: in panels.",
            show_default=False,
            rich_help_panel="Drawing",
        ),
    ] = None
    caption: Annotated[
        bool | None,
        typer.Option(
            "--caption/--no-caption",
            help="Class, method and extremes below the map. Default: in panels.",
            show_default=False,
            rich_help_panel="Drawing",
        ),
    ] = None

    def look(self, films: bool = False) -> Look:
        """The look, checked; `films`: its format may be one of videos."""
        from camviz.render import animation, check

        look = Look(
            self.layout, self.colormap, self.alpha, self.sign, self.scale, self.format, self.colorbar, self.caption
        )
        check(replace(look, format="png") if films and look.format in animation.FORMATS else look)
        return look


@dataclass
class OutputOptions:
    """Where results go and who hears of them."""

    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", parser=place, metavar="PATH", help="Folder for the results.", rich_help_panel="Output"
        ),
    ] = Path("camviz_out")
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="One JSON object per file on stdout, instead of its path.", rich_help_panel="Output"
        ),
    ] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but errors on stderr.", rich_help_panel="Output")
    ] = False


@dataclass
class ResumeOptions:
    """What to do about images that an earlier run in the same folder has done."""

    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Do everything again, also what is done already.", rich_help_panel="Output"),
    ] = False
    retry: Annotated[bool, typer.Option("--retry", help="Try again what failed before.", rich_help_panel="Output")] = (
        False
    )
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Write nothing: list the images that are to be done.", rich_help_panel="Output"),
    ] = False


Json = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]


def several(texts: Sequence[str] | None, default: Sequence[str] = ()) -> tuple[str, ...]:
    """Repeated options and comma lists as one tuple without doubles."""
    found = [part.strip() for text in texts or default for part in text.split(",") if part.strip()]
    return tuple(dict.fromkeys(found))
