"""Feature inversion: optimize an image so that its features at a layer match those of a given image.

Mahendran and Vedaldi, "Understanding Deep Image Representations by Inverting Them", arXiv:1412.0035.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from camviz.feature_maps.early_exit import Reader
from camviz.feature_maps.similarity import ssim
from camviz.feature_maps.visualization.fourier import Spectrum, total_variation
from camviz.feature_maps.visualization.image_space import as_written, check_finite, imaged, normalize, to_pixels
from camviz.feature_maps.visualization.optimize import Tick, descend, no_progress
from camviz.hooks.capture import borrowed
from camviz.io.notebook import as_images
from camviz.models.extra_inputs import inputs_of
from camviz.models.layers import find_layers, stages
from camviz.models.preprocess import prepare
from camviz.models.survey import survey
from camviz.render.bar import number
from camviz.render.names import model_name
from camviz.render.paper import compose
from camviz.render.sheet import Sheet, Tile, table
from camviz.render.tiles import tile_pixels
from camviz.types import Figure, Layer, Model, Pixels, Style

TV = 2.0  # weight of the total variation: small against early layers, large against late ones
_CONTRAST = 0.05  # contrast of the initial noise relative to a natural image
_COARSE = 0.5  # fraction of the steps in which the cutoff grows, which avoids pixel-grid minima
_SLOWEST, _FINEST = 0.02, 0.75  # cutoffs in cycles per pixel; the last is above the corner of the spectrum


@dataclass(frozen=True)
class Inversion:
    """Settings of the optimization; `tv` is the weight of the total variation."""

    steps: int = 256
    tv: float = TV
    seed: int = 0
    precision: str = "fp32"
    tick: Tick = no_progress


@dataclass(frozen=True)
class LayerInversion:
    """The inversion of one layer: pixels (H, W, 3) as written, relative error and similarity to the image.

    `error`: ‖Φ(x) − Φ(x₀)‖² / ‖Φ(x₀)‖², which is 1 if all features of x are zero. `ssim`: structural similarity.
    """

    layer: Layer
    pixels: Pixels = field(repr=False)
    error: float
    ssim: float


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The image as the model sees it (H, W, 3), and its inversion at each layer, in the order requested."""

    shown: Pixels = field(repr=False)
    layers: tuple[LayerInversion, ...]
    model: str
    settings: tuple[str, ...] = ()

    def figure(self, format: str = "png", style: Style | None = None) -> Figure:
        """Draw the image and the inversions with layer, shape, error and SSIM."""
        style = style or Style()
        tiles = [Tile(tile_pixels(self.shown, 4, style), "Input", ("as the model sees it",))]
        for inversion in self.layers:
            shape = "×".join(map(str, inversion.layer.shape))
            facts = (f"error {number(inversion.error)}", f"SSIM {inversion.ssim:.2f}", shape)
            tiles.append(Tile(tile_pixels(inversion.pixels, 4, style), inversion.layer.path, facts))
        sheet = Sheet(table(tiles, style), caption=(model_name(self.model), *self.settings), tile=44.0)
        return compose("reconstruction", sheet, format, style, self.facts(), self.model)

    def facts(self) -> dict[str, Any]:
        """Return model, layers, errors and similarities for JSON."""
        layers = [
            {"layer": each.layer.path, "shape": list(each.layer.shape), "error": each.error, "ssim": each.ssim}
            for each in self.layers
        ]
        return {"model": self.model, "layers": layers}


def reconstruct(model: Model, image: Any, layers: Sequence[str] = (), **how: Any) -> Reconstruction:
    """Invert the features of one image at layers (globs allowed; default: the last layer of each resolution).

    `image` as in `camviz.explain`, settings as in `Inversion`. The model is left unchanged.
    """
    [image] = as_images(image)
    values, _ = prepare(image, model.preprocessing)
    inverter = Inverter(model, choose_layers(model, layers), Inversion(**how))
    with inputs_of(model, [image]):
        return inverter([values])[0]


def choose_layers(model: Model, patterns: Sequence[str]) -> list[Layer]:
    """Return the layers that match the patterns, without any the last layer of each resolution."""
    return find_layers(model, patterns) if patterns else stages(model)


class Inverter:
    """Invert images of one shape at layers, each layer independently."""

    def __init__(self, model: Model, layers: Sequence[Layer], how: Inversion) -> None:
        self.model, self.layers, self.how = model, layers, how
        seen = survey(model.module, model.preprocessing.crop, model.name)
        self.readers = [Reader.at(model, layer, seen, how.precision) for layer in layers]

    def __call__(self, inputs: Sequence[NDArray[np.float32]]) -> list[Reconstruction]:
        """Return for each input (c, H, W) the inversions at all layers."""
        shown = torch.from_numpy(np.stack(inputs)).to(self.model.device)
        shown = imaged(shown, self.model.preprocessing)
        spectrum = Spectrum.of(shown.shape[1], shown.shape[2], shown.shape[3], shown.device)
        inversions: list[list[LayerInversion]] = [[] for _ in inputs]
        pixels = to_pixels(shown)
        with borrowed(self.model.module):
            for number, reader in enumerate(self.readers):
                rebuilt, errors = self._invert(number, reader, spectrum, shown)
                for i, (image, error) in enumerate(zip(to_pixels(rebuilt), errors.tolist(), strict=True)):
                    similarity = ssim(image, pixels[i])
                    inversions[i].append(LayerInversion(self.layers[number], image, error, similarity))
        how = self.how
        unit = "error: squared distance of features relative to those of the input"
        settings = (unit, f"{how.steps} steps", f"total variation {how.tv:g}", f"seed {how.seed}")
        name, results = self.model.name, zip(pixels, inversions, strict=True)
        return [Reconstruction(image, tuple(layers), name, settings) for image, layers in results]

    def _invert(self, number: int, reader: Reader, spectrum: Spectrum, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Return images (n, c, H, W) and their remaining errors (n,) at one layer."""
        how, total = self.how, len(self.readers)
        with torch.no_grad():
            features = self._features(reader, shown)
            check_finite(features, f"layer '{self.layers[number].path}'", self.model, how.precision)
            size = features.square().flatten(1).sum(1)
            size = torch.where(size > 0, size, torch.ones_like(size))

        def error(images: Tensor) -> Tensor:
            return (self._features(reader, images) - features).square().flatten(1).sum(1) / size

        coarse = int(_COARSE * how.steps)

        def descent(start: Tensor, first: int, steps: int) -> Tensor:
            cuts = iter(torch.logspace(math.log10(_SLOWEST), math.log10(_FINEST), steps).tolist())

            def loss(coefficients: Tensor) -> Tensor:
                if first < coarse:
                    coefficients = spectrum.below(next(cuts), coefficients)
                images = spectrum.paint(coefficients)
                return error(images) + how.tv * total_variation(images)

            def tick(done: int, _steps: int) -> None:
                how.tick(number * how.steps + first + done, total * how.steps)

            return descend(start, loss, steps, settle=first == coarse, tick=tick)

        noise = spectrum.noise(1, torch.Generator().manual_seed(how.seed), _CONTRAST)
        start = noise.expand(len(shown), *noise.shape[1:])
        done = descent(descent(start, 0, coarse), coarse, how.steps - coarse)
        with torch.no_grad():
            images = as_written(spectrum.paint(done))
            return images, error(images)

    def _features(self, reader: Reader, images: Tensor) -> Tensor:
        return reader.output(normalize(images, self.model.preprocessing))
