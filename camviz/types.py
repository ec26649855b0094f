"""The nouns of camviz. Values only: what they hold, and the one thing each knows how to do."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from camviz.errors import ModelError
from camviz.registry import Registry

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor, nn

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
    """A decoded image: RGB, eight bits, upright. `path` is None for pixels that came from Python.

    `bands` (H, W, 4) are the colors as stored and the alpha channel of a file that has one: for models of two or
    four channels. `pixels` are what a person sees, on white.
    """

    pixels: Pixels = field(repr=False)
    path: Path | None = None
    bands: Pixels | None = field(default=None, repr=False)

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[0])

    @property
    def name(self) -> str:
        """Of its file."""
        return self.path.name if self.path else "image"


@dataclass(frozen=True)
class View:
    """Which rectangle of an image the model's input shows, and at what size.

    `box` is (left, top, right, bottom) in pixels of the upright image, fractions allowed; it may reach
    beyond the image (letterbox). `size` is (width, height) of the model's input.
    """

    image: tuple[int, int]
    box: tuple[float, float, float, float]
    size: tuple[int, int]

    @property
    def partial(self) -> bool:
        """Whether some of the image is outside the view, by more than rounding."""
        left, top, right, bottom = self.box
        width, height = self.image
        return left > 0.5 or top > 0.5 or right < width - 0.5 or bottom < height - 0.5

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of the image at (x, y), shares of the view."""
        left, top, right, bottom = self.box
        return left + x * (right - left), top + y * (bottom - top)

    @property
    def rectangle(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom): the image's pixels whose centers the view shows, ends excluded."""
        left, top, right, bottom = self.box
        columns, rows = _covered(self.image[0], left, right), _covered(self.image[1], top, bottom)
        return columns.start, rows.start, columns.stop, rows.stop

    def place(self, values: Map) -> Map:
        """Bring a map (h, w) of the view back onto the image: (H, W) float32, NaN where the view is not.

        Bilinear between cell centers (align_corners=False), held constant beyond the outermost centers.
        """
        width, height = self.image
        left, top, right, bottom = self.box
        cells = np.asarray(values, np.float32)
        placed = np.full((height, width), np.nan, np.float32)
        rows, columns = _covered(height, top, bottom), _covered(width, left, right)
        with np.errstate(invalid="ignore"):  # a cell that is not finite spoils its neighborhood only
            wide = _stretch(cells.T, columns, left, right).T
            placed[rows, columns] = _stretch(np.ascontiguousarray(wide), rows, top, bottom)
        return placed


def _covered(length: int, start: float, stop: float) -> slice:
    """The pixels of `length` whose centers lie in [start, stop]."""
    first = max(0, int(np.ceil(start - 0.5)))
    return slice(first, max(first, min(length, int(np.floor(stop - 0.5)) + 1)))


def _stretch(values: Map, pixels: slice, start: float, stop: float) -> Map:
    """Rows (cells, n) that share [start, stop] evenly, read linearly at the pixels' centers: (pixels, n)."""
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
    """How an image becomes a model's input: short side to `resize`, center crop to `crop`, (x - mean) / std.

    `resize` may be a size, to which the image is squashed before the crop; None squashes it to `crop` itself. Sizes
    are (height, width). With `longest` the whole image is shown: the long side at most so long, no crop, and `fill`
    added at the right and the bottom until the sides are a `multiple`, as detectors do. `order` is that of the
    model's channels, also in `mean` and `std`. A model of clips sees so many `frames`, stacked; `crop` is then all
    of the stack, and the rest is for each frame.
    """

    crop: tuple[int, int] = (224, 224)
    resize: int | tuple[int, int] | None = 256
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    longest: int | None = None
    multiple: int = 1
    frames: int = 1
    order: Order = "rgb"
    fill: tuple[float, float, float] = (0.485, 0.456, 0.406)  # of what is added: the mean color, zero to the model


@dataclass(frozen=True, eq=False)
class Model:
    """A model with all that belongs to it. Nobody else asks "which mean?" or "which class names?"."""

    name: str
    module: nn.Module
    preprocessing: Preprocessing = Preprocessing()
    labels: tuple[str, ...] = ()
    task: str = ""  # "": as the output looks
    output_key: str = ""  # the part of the output that counts, where it has names
    words: Callable[[str], Tensor] | None = None  # of a model of images and words: a text's embedding (d,)
    notes: tuple[str, ...] = ()  # what loading had to say: keys stripped, keys missing
    fitted: tuple[int, int] | None = None  # of a checkpoint: how many of how many tensors came from it
    preprocess: Callable[[PILImage], Tensor] | None = None  # instead of `preprocessing`: an image to (c, h, w)
    inputs: Callable[[Tensor], Any] | None = None  # a batch (n, c, h, w) to the arguments of forward
    outputs: Callable[[Any], Any] | None = None  # what forward returns to logits, boxes or masks

    @property
    def device(self) -> str:
        """The device of the parameters, "cpu" for a model without any."""
        for parameter in self.module.parameters():
            return str(parameter.device)
        return "cpu"


@dataclass(frozen=True)
class Layer:
    """A place in a model, and how its output becomes maps (n, c, h, w).

    plain: (n, c, h, w) already. channels_last: (n, h, w, c). tokens: (n, prefix + h·w, c) in reading order, where the
    grid (h, w) is the input's size divided by `patch`, give or take one. Of clips, whose t steps become rows below
    each other, (n, c, t·h, w): clip: (n, c, t, h, w). clip_last: (n, t, h, w, c).
    """

    path: str
    layout: Literal["plain", "channels_last", "tokens", "clip", "clip_last"] = "plain"
    prefix: int = 0
    patch: tuple[float, float] = (1, 1)
    shape: tuple[int, ...] = ()  # of the output for one image, as surveyed

    def cells(self, tokens: int, input_size: tuple[int, int]) -> tuple[int, int]:
        """The grid (height, width) of so many tokens, the prefix among them; raises `ModelError` if there is none."""
        down, across = (side / step for side, step in zip(input_size, self.patch, strict=True))
        near = [(int(down) + i, int(across) + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        fits = [grid for grid in near if min(grid) > 0 and grid[0] * grid[1] == tokens - self.prefix]
        if not fits:
            raise ModelError(
                f"layer '{self.path}' gives {tokens} tokens for an input of {input_size[1]}×{input_size[0]}: not "
                f"{self.prefix} and a grid of patches of {self.patch[1]:g}×{self.patch[0]:g}",
                "--fit squash shows images at the model's own size; --layer chooses another layer",
            )
        return min(fits, key=lambda grid: abs(grid[0] - down) + abs(grid[1] - across))

    def to_maps(self, output: Tensor, input_size: tuple[int, int]) -> Tensor:
        """The output as (n, c, h, w); `input_size` is (height, width) of the model's input."""
        if self.layout == "channels_last":
            return output.permute(0, 3, 1, 2)
        if self.layout in ("clip", "clip_last"):
            steps = output if self.layout == "clip" else output.permute(0, 4, 1, 2, 3)
            return steps.flatten(2, 3)
        if self.layout == "tokens":
            h, w = self.cells(output.shape[1], input_size)
            tokens = output[:, self.prefix :]  # (n, h·w, c)
            return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], h, w)
        return output

    def from_maps(self, maps: Tensor, like: Tensor) -> Tensor:
        """The inverse of `to_maps`: maps (m, c, h, w) as an output; prefix tokens come from `like` (1 or m, …)."""
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
    """Something drawn over a map: a rectangle, a region's outline, a point, with a few words.

    Places are shares of the model's input, (0, 0) its left top corner: `box` (left, top, right, bottom), `point`
    (x, y); `region` (h, w) covers the input.
    """

    text: str = ""
    box: tuple[float, float, float, float] | None = None
    point: tuple[float, float] | None = None
    region: NDArray[np.bool_] | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Target:
    """What a map explains: a label, and how one scalar is read from one image's row of the output.

    `pick` takes a row, or where rows are tensors any number of them (…, *row), to a scalar each; `kind` says whether
    it picks from the row as it is or from probabilities. `likely` makes those: softmax over classes unless given.
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
        """The score of a row, or the scores (…) of a tensor of them; `kind` overrides the target's own."""
        return self.pick(self.likely(row) if (kind or self.kind) == "prob" else row)

    def read_all(self, rows: Any, kind: str = "") -> Tensor:
        """The scores (n,) of the rows of n images: a tensor or a list."""
        if hasattr(rows, "ndim"):
            return self.read(rows, kind)
        import torch

        return torch.stack([self.read(row, kind) for row in rows])


@dataclass(frozen=True, eq=False)
class SaliencyMap:
    """A raw map, as the method made it: layer-sized or input-sized, signed, not normalized."""

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
    facets: tuple[str, ...] = ()  # what tells it from the image's other maps, for the name of its file
    marks: tuple[Mark, ...] = ()

    def overlay(self, **look: Any) -> PILImage:
        """Return the map over its image as a PIL image; settings as in `Look`."""
        return self.draw(layout="overlay", **look)

    def draw(self, **look: Any) -> PILImage:
        """Return the figure that the command line would write, as a PIL image; settings as in `Look`."""
        from PIL import Image as PILImage

        figure = DRAWINGS.find("map").call(self, replace(Look(), **look))
        assert figure.pixels is not None
        return PILImage.fromarray(figure.pixels)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.draw(layout="panel").save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()


@dataclass(frozen=True)
class Look:
    """How maps are drawn. None: as the layout has it.

    `scale` is which value has full color: "image", the map's own extreme; "row", that of all maps of its image;
    "run", that of all maps there are; or "fixed:V".
    """

    layout: str = "overlay"
    colormap: str | None = None
    alpha: float = 0.5
    sign: Sign = "positive"
    scale: str = "image"
    format: str = "png"
    colorbar: bool | None = None
    caption: bool | None = None


@dataclass(frozen=True, eq=False)
class Figure:
    """Something to write: pixels or bytes, the suffix of its file, and facts about it."""

    kind: str
    suffix: str
    pixels: Pixels | None = None
    data: bytes | None = None
    facts: dict[str, Any] = field(default_factory=dict)


DRAWINGS: Registry[Callable[[SaliencyMap, Look], Figure]] = Registry("drawing", "camviz.render")  # looked up by `draw`


@dataclass(frozen=True)
class ModelRequest:
    """Which model, as it was typed; `camviz.models.load` turns it into a `Model`."""

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


@dataclass(frozen=True)
class Job:
    """Everything that decides what a run computes and draws. The same job makes the same files."""

    model: ModelRequest = ModelRequest()
    layers: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()  # none: what is usual for the model's task, or works where layers are out of reach
    targets: tuple[str, ...] = ()  # none, as for the score: the default of the model's task
    score: Score | None = None
    min_score: float = 0.3  # of a detection
    fit: Fit = "model"
    device: str = "auto"
    precision: Precision = "fp32"
    batch_size: int = 0  # 0: chosen for the device
    settings: tuple[tuple[str, str], ...] = ()  # of methods, as typed: ("smoothgrad.samples", "50")
    smooth: Smooth = "none"
    fuse: Fuse = "none"
    seed: int = 0
    floor: bool = False  # mark maps that vary no more than those of the same model with shuffled weights
    save_raw: bool = False
    every: int = 1  # of a video's frames
    look: Look = Look()
