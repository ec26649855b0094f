"""The value types of camviz."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from camviz.errors import ModelError, check_keywords
from camviz.registry import Registry

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor, nn

    from camviz.tasks.outputs import Output

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
Map = NDArray[np.float32]  # (h, w)
Sign = Literal["positive", "negative", "both"]
Order = Literal["rgb", "bgr"]
Fit = Literal["model", "whole", "squash"]
Score = Literal["logit", "prob"]
Precision = Literal["fp32", "bf16", "fp16"]
Smooth = Literal["none", "aug", "eigen", "noise"]
Fuse = Literal["none", "mean", "max", "layercam", "product"]


@dataclass(frozen=True, eq=False)
class Image:
    """A decoded image: RGB, eight bits, upright. `path` is None for pixels passed from Python.

    `bands` (H, W, 4) are the stored colors and the alpha channel of a file that has one, for models with two or four
    input channels. `pixels` are composited on white.
    """

    pixels: Pixels = field(repr=False)
    path: Path | None = None
    bands: Pixels | None = field(default=None, repr=False)
    note: str = ""  # how values of more than eight bits were scaled

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def name(self) -> str:
        """The file name, "image" without a file."""
        return self.path.name if self.path else "image"


@dataclass(frozen=True)
class View:
    """The rectangle of an image that the model's input shows, and the size of that input.

    `box` is (left, top, right, bottom) in pixels of the upright image, fractions allowed; it may extend
    beyond the image (letterbox). `image` is (width, height) of the image, `size` that of the model's input.
    """

    image: tuple[int, int]
    box: tuple[float, float, float, float]
    size: tuple[int, int]
    cells: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)  # what a map's cells tile, in fractions of the view

    @property
    def partial(self) -> bool:
        """Whether part of the image is outside the view, by more than rounding."""
        (left, top, right, bottom), (width, height) = self.box, self.image
        return left > 0.5 or top > 0.5 or right < width - 0.5 or bottom < height - 0.5

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel coordinates in the image of (x, y), given as fractions of the view."""
        left, top, right, bottom = self.box
        return left + x * (right - left), top + y * (bottom - top)

    @property
    def rectangle(self) -> tuple[int, int, int, int]:
        """The image's pixels whose centers are in the view: (left, top, right, bottom), ends excluded."""
        left, top, right, bottom = self.box
        columns, rows = _covered(self.image[0], left, right), _covered(self.image[1], top, bottom)
        return columns.start, rows.start, columns.stop, rows.stop

    def place(self, values: Map) -> Map:
        """Place a map (h, w) of the view on the image: (H, W) float32, NaN outside the view.

        Bilinear between cell centers (align_corners=False), held constant beyond the outermost centers.
        """
        (width, height), (left, top, right, bottom) = self.image, self.box
        (x0, y0), (x1, y1) = self.point(*self.cells[:2]), self.point(*self.cells[2:])
        placed = np.full((height, width), np.nan, np.float32)
        rows, columns = _covered(height, top, bottom), _covered(width, left, right)
        with np.errstate(invalid="ignore"):  # a non-finite cell affects its neighborhood only
            wide = _stretch(np.asarray(values, np.float32).T, columns, x0, x1).T
            placed[rows, columns] = _stretch(np.ascontiguousarray(wide), rows, y0, y1)
        return placed


def _covered(length: int, start: float, stop: float) -> slice:
    """Return the pixels of an axis of `length` whose centers lie in [start, stop]."""
    first = max(0, int(np.ceil(start - 0.5)))
    return slice(first, max(first, min(length, int(np.floor(stop - 0.5)) + 1)))


def _stretch(values: Map, pixels: slice, start: float, stop: float) -> Map:
    """Interpolate rows (cells, n), evenly spaced over [start, stop], at the pixels' centers: (pixels, n)."""
    cells = len(values)
    centers = (np.arange(pixels.start, pixels.stop) + 0.5 - start) * (cells / (stop - start)) - 0.5
    centers = np.clip(centers, 0, cells - 1)
    low = centers.astype(np.intp)
    share = (centers - low).astype(np.float32)[:, None]
    near, far = values[low], values[np.minimum(low + 1, cells - 1)]
    far -= near
    far *= share
    far += near
    return far


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a model's input: resize the short side, center crop, (x - mean) / std for x in [0, 1].

    Sizes are (height, width). `resize` is the short side, or a size to squash to before the crop; None: to `crop`.
    `longest`: the whole image, the long side at most that long, `fill` at the right and bottom (or `centered`) until
    sides are a `multiple`. `order`: of `mean` and `std` too. `crop`: stacked `frames`; linear: no antialiasing.
    """

    crop: tuple[int, int] = (224, 224)
    resize: int | tuple[int, int] | None = 256
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: Literal["nearest", "linear", "bilinear", "bicubic", "lanczos"] = "bilinear"
    longest: int | None = None
    multiple: int = 1
    centered: bool = False
    frames: int = 1
    order: Order = "rgb"
    window: tuple[float, float] | None = None  # stored values that become black and white, beyond eight bits
    fill: tuple[float, float, float] = (0.485, 0.456, 0.406)  # padding color: the mean, zero after normalization
    function: Callable[[PILImage], Any] | None = None  # instead of all of it: a PIL image to (c, h, w)


@dataclass(frozen=True, eq=False)
class Model:
    """A module with its preprocessing, class names and task."""

    name: str
    module: nn.Module
    preprocessing: Preprocessing = Preprocessing()
    labels: tuple[str, ...] = ()
    task: str = ""  # "": recognized from the output
    output_key: str = ""  # the part of the output to read, of an output with several parts
    sources: dict[str, str] = field(default_factory=dict)  # how preprocessing, labels and task were found
    output: Output | None = None  # None: not looked at yet, see `models.outputs`
    embed_text: Callable[[str], Tensor] | None = None  # CLIP and SigLIP: the embedding (d,) of a text
    notes: tuple[str, ...] = ()  # reported by loading
    typed: str = ""  # what names the model on a command line, options included
    fitted: tuple[int, int] | None = None  # tensors loaded from the checkpoint, of how many

    @property
    def device(self) -> str:
        """The device of the parameters, "cpu" for a model without any."""
        return next((str(parameter.device) for parameter in self.module.parameters()), "cpu")


@dataclass(frozen=True)
class Layer:
    """A layer of a model, and how its output becomes maps (n, c, h, w).

    plain: (n, c, h, w). channels_last: (n, h, w, c). tokens: (n, prefix + h·w, c) in reading order, where (h, w) is the
    input's size divided by `patch`, plus or minus one. clip: (n, c, t, h, w). clip_last: (n, t, h, w, c).
    """

    path: str
    layout: Literal["plain", "channels_last", "tokens", "clip", "clip_last"] = "plain"
    prefix: int = 0
    patch: tuple[float, float] = (1, 1)
    shape: tuple[int, ...] = ()  # of the output for one image, as surveyed
    run: int = 0  # which run of the layer in a forward sees the image, counted from 1; 0: the last

    def cells(self, tokens: int, input_size: tuple[int, int]) -> tuple[int, int]:
        """Return the grid (height, width) of `tokens` tokens, prefix included. Raises `ModelError` if there is none."""
        down, across = (side / step for side, step in zip(input_size, self.patch, strict=True))
        near = [(int(down) + i, int(across) + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        fits = [grid for grid in near if min(grid) > 0 and grid[0] * grid[1] == tokens - self.prefix]
        if not fits:
            raise ModelError(
                f"layer '{self.path}' has {tokens} tokens for an input of {input_size[1]}×{input_size[0]}: not "
                f"{self.prefix} prefix tokens and a grid of {self.patch[1]:g}×{self.patch[0]:g} patches",
                "--fit squash resizes images to the model's size; --layer chooses another layer",
            )
        return min(fits, key=lambda grid: abs(grid[0] - down) + abs(grid[1] - across))

    def to_maps(self, output: Tensor, input_size: tuple[int, int]) -> Tensor:
        """Return the output as (n, c, h, w); `input_size` is (height, width) of the model's input."""
        if self.layout == "channels_last":
            return output.permute(0, 3, 1, 2)
        if self.layout in ("clip", "clip_last"):
            return (output if self.layout == "clip" else output.permute(0, 4, 1, 2, 3)).flatten(2, 3)
        if self.layout == "tokens":
            h, w = self.cells(output.shape[1], input_size)
            tokens = output[:, self.prefix :]  # (n, h·w, c)
            return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], h, w)
        return output

    def from_maps(self, maps: Tensor, like: Tensor) -> Tensor:
        """Return maps (m, c, h, w) as an output, the inverse of `to_maps`; `like` (1 or m, …) has the prefix tokens."""
        if self.layout == "channels_last":
            return maps.permute(0, 2, 3, 1)
        if self.layout == "clip":
            return maps.reshape(*maps.shape[:2], like.shape[2], -1, maps.shape[3])
        if self.layout == "clip_last":
            return maps.reshape(*maps.shape[:2], like.shape[1], -1, maps.shape[3]).permute(0, 2, 3, 4, 1)
        if self.layout == "tokens":
            tokens = maps.flatten(2).transpose(1, 2)  # (m, h·w, c)
            output = like.expand(tokens.shape[0], -1, -1).clone()
            output[:, self.prefix :] = tokens
            return output
        return maps


@dataclass(frozen=True, eq=False)
class Mark:
    """An annotation over a map: a box, a region's outline or a point, with a short text.

    `box` (left, top, right, bottom) and `point` (x, y) are fractions of the input; `region` (h, w) covers it.
    """

    text: str = ""
    box: tuple[float, float, float, float] | None = None
    point: tuple[float, float] | None = None
    region: NDArray[np.bool_] | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Target:
    """What a map explains: a label, and how a scalar score is read from an image's row of the output.

    `pick` maps rows (…, *row) to a scalar each; `kind` is whether it reads logits or what `likely` makes of them.
    """

    label: str
    pick: Callable[[Any], Tensor]
    kind: Score = "logit"
    index: int | None = None
    probability: float | None = None
    likely: Callable[[Any], Any] = lambda row: row.softmax(-1)
    marks: tuple[Mark, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def read(self, row: Any, kind: str = "") -> Tensor:
        """Return the score of a row, or the scores (…) of a tensor of rows; `kind` overrides the target's kind."""
        return self.pick(self.likely(row) if (kind or self.kind) == "prob" else row)

    def read_all(self, rows: Any, kind: str = "") -> Tensor:
        """Return the scores (n,) of the rows of n images: a tensor or a list."""
        if hasattr(rows, "ndim"):
            return self.read(rows, kind)
        import torch

        return torch.stack([self.read(row, kind) for row in rows])


@dataclass(frozen=True, eq=False)
class SaliencyMap:
    """A raw saliency map: layer-sized or input-sized, signed, not normalized."""

    values: Map = field(repr=False)
    method: str
    layer: str
    target: str
    index: int | None
    score: float
    probability: float | None
    model: str
    view: View
    image: Image
    facts: dict[str, Any] = field(default_factory=dict)
    facets: tuple[str, ...] = ()  # parts of its file name that distinguish it from the image's other maps
    marks: tuple[Mark, ...] = ()

    def overlay(self, **look: Any) -> PILImage:
        """Return the map over its image as a PIL image; settings as in `Look`."""
        return self.draw(layout="overlay", **look)

    def draw(self, **look: Any) -> PILImage:
        """Return the figure that the command line would write, as a PIL image; settings as in `Look`."""
        from PIL import Image as PILImage

        check_keywords(look, Look.__annotations__, {"cmap": "colormap='viridis'", "image_weight": "alpha=0.5"})
        figure = DRAWINGS.find("map").call(self, replace(Look(), **look))
        assert figure.pixels is not None
        return PILImage.fromarray(figure.pixels)

    def _repr_png_(self) -> bytes:
        return self.draw(layout="panel")._repr_png_() or b""


@dataclass(frozen=True)
class Style:
    """Print settings of composed figures: width in mm (0: by content), dots per inch, font, title size in points."""

    width: float = 0.0
    dpi: int = 300
    font: str = ""
    points: float = 0.0


@dataclass(frozen=True)
class Look:
    """How maps are drawn. None: the layout's default; for `alpha` an opacity that grows with the value.

    `scale` normalizes colors per "image" (the map's own extreme), per "row" (all maps of its image), over the "run",
    or to a fixed maximum ("fixed:2.5"); `contour` and `threshold` are shares of it. `full_size`: keep the image's size.
    """

    layout: str = "overlay"
    colormap: str | None = None
    alpha: float | None = None
    sign: Sign = "positive"
    scale: str = "image"
    format: str = "png"
    colorbar: bool | None = None
    caption: bool | None = None
    contour: tuple[float, ...] = ()
    threshold: float = 0.0
    crop_marks: bool = True
    full_size: bool = False
    style: Style = Style()


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure to write: pixels (with dots per inch) or bytes, the suffix of its file, and facts about it."""

    kind: str
    suffix: str
    pixels: Pixels | None = None
    data: bytes | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    dpi: int = 300


DRAWINGS: Registry[Callable[[SaliencyMap, Look], Figure]] = Registry("drawing", "camviz.render")  # looked up by `draw`


@dataclass(frozen=True)
class ModelRequest:
    """The requested model, as typed; `camviz.models.load` turns it into a `Model`."""

    spec: str = "demo"
    weights: str = "default"
    checkpoint: str | None = None
    labels: str | None = None
    arguments: tuple[tuple[str, str], ...] = ()
    allow_pickle: bool = False
    input_size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    order: Order = "rgb"
    task: str = ""
    output_key: str = ""
    checkpoint_key: str = ""
    range: tuple[float, float] | None = None  # the values of black and white for the model
    window: tuple[float, float] | None = None  # the stored values that become black and white
    inputs: tuple[tuple[str, str], ...] = ()  # further arguments of forward: a file, folder or number by name


@dataclass(frozen=True)
class Request:
    """All settings of a run. The same request writes the same files."""

    model: ModelRequest = ModelRequest()
    layers: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()  # none: the default of the model's task, or one that works without layers
    targets: tuple[str, ...] = ()  # none: the default of the model's task
    score: Score | None = None
    min_score: float = 0.3  # threshold of detections and multi-label outputs
    fit: Fit = "model"
    device: str = "auto"
    precision: Precision = "fp32"
    batch_size: int = 0  # 0: chosen for the device
    settings: tuple[tuple[str, str], ...] = ()  # of methods, as typed: ("smoothgrad.samples", "50")
    smooth: Smooth = "none"
    fuse: Fuse = "none"
    seed: int = 0
    floor: bool = False  # flag maps no stronger than those of the model with randomized weights
    save_raw: bool = False
    every: int = 1  # of a video's frames
    look: Look = Look()
