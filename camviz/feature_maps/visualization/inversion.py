"""What a layer still knows of an image: another image that the layer cannot tell from it.

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
from camviz.feature_maps.visualization.optimize import Tick, descend, nobody
from camviz.hooks.capture import borrowed
from camviz.io.images import as_images
from camviz.models.layers import find_layers, stages
from camviz.models.preprocess import prepare
from camviz.models.survey import survey
from camviz.render.bar import number
from camviz.render.frame import Line
from camviz.render.gallery import Tile, gallery
from camviz.types import Layer, Model, Pixels

TV = 2.0  # of the total variation: little beside a stage that keeps all, much beside one that keeps outlines
_FAINT = 0.05  # contrast of the noise it starts from, as a part of an ordinary image's
_COARSE = 0.5  # of the steps the image grows from its slowest waves to its finest: no grids of pixels to get stuck in
_SLOWEST, _FINEST = 0.02, 0.75  # cycles per pixel; the finest is just above the corner of the spectrum
_PAGE = 1500  # pixels that a row of the figure takes at most, if it can


@dataclass(frozen=True)
class Inversion:
    """How the optimization goes; `tv` is the weight of the total variation."""

    steps: int = 256
    tv: float = TV
    seed: int = 0
    precision: str = "fp32"
    tick: Tick = nobody


@dataclass(frozen=True)
class Rebuilt:
    """One layer's reconstruction (H, W, 3), as it is written.

    `error`: ‖Φ(x) − Φ(x₀)‖² / ‖Φ(x₀)‖², 1 for features of nothing but zeros. `likeness`: structural similarity.
    """

    layer: Layer
    pixels: Pixels = field(repr=False)
    error: float
    likeness: float


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What the model was shown (H, W, 3), and what each layer kept of it, in the order asked for."""

    shown: Pixels = field(repr=False)
    layers: tuple[Rebuilt, ...]
    model: str
    settings: tuple[str, ...] = ()

    def figure(self) -> Pixels:
        """Image | reconstructions, with what each layer is and how far its features are from the image's."""
        tiles = [Tile(self.shown, "image", ("as the model is shown it", self.model))]
        for one in self.layers:
            shape = "×".join(map(str, one.layer.shape))
            facts = (f"error {number(one.error)}", f"likeness {one.likeness:.2f} · {shape}")
            tiles.append(Tile(one.pixels, one.layer.path, facts))
        width = self.shown.shape[1]
        across = max(3, _PAGE // max(224, width))
        rows = -(-len(tiles) // across)
        return gallery(tiles, -(-len(tiles) // rows), [Line(self.settings)])

    def facts(self) -> dict[str, Any]:
        """What is worth knowing, ready for JSON."""
        shown = [
            {"layer": one.layer.path, "shape": list(one.layer.shape), "error": one.error, "ssim": one.likeness}
            for one in self.layers
        ]
        return {"model": self.model, "layers": shown}


def reconstruct(model: Model, image: Any, layers: Sequence[str] = (), **how: Any) -> Reconstruction:
    """One image rebuilt from layers (globs too; default: the way through the model). Settings as in `Inversion`.

    `image` as in `camviz.explain`. The model comes back as it was.
    """
    [image] = as_images(image)
    values, _ = prepare(image, model.preprocessing)
    return Inverter(model, choose_layers(model, layers), Inversion(**how))([values])[0]


def choose_layers(model: Model, patterns: Sequence[str]) -> list[Layer]:
    """The layers that the patterns mean; the last one of each resolution without any."""
    return find_layers(model, patterns) if patterns else stages(model)


class Inverter:
    """Rebuilds images of one shape from layers; every layer alone, so that no result depends on the others."""

    def __init__(self, model: Model, layers: Sequence[Layer], how: Inversion) -> None:
        self.model, self.layers, self.how = model, layers, how
        seen = survey(model.module, model.preprocessing.crop, model.name)
        self.readers = [Reader.at(model, layer, seen, how.precision) for layer in layers]

    def __call__(self, inputs: Sequence[NDArray[np.float32]]) -> list[Reconstruction]:
        """For each input (c, H, W) all layers."""
        shown = torch.from_numpy(np.stack(inputs)).to(self.model.device)
        shown = imaged(shown, self.model.preprocessing)
        spectrum = Spectrum.of(shown.shape[1], shown.shape[2], shown.shape[3], shown.device)
        found: list[list[Rebuilt]] = [[] for _ in inputs]
        pixels = to_pixels(shown)
        with borrowed(self.model.module):
            for number, reader in enumerate(self.readers):
                rebuilt, errors = self._invert(number, reader, spectrum, shown)
                for i, (one, error) in enumerate(zip(to_pixels(rebuilt), errors.tolist(), strict=True)):
                    found[i].append(Rebuilt(self.layers[number], one, error, ssim(one, pixels[i])))
        how = self.how
        words = ("error: squared distance of features, relative", "likeness: SSIM")
        settings = (*words, f"{how.steps} steps", f"total variation {how.tv:g}", f"seed {how.seed}")
        name = self.model.name
        return [Reconstruction(one, tuple(layers), name, settings) for one, layers in zip(pixels, found, strict=True)]

    def _invert(self, number: int, reader: Reader, spectrum: Spectrum, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, c, H, W) and the errors (n,) that remain, at one layer."""
        how, total = self.how, len(self.readers)
        with torch.no_grad():
            wanted = self._features(reader, shown)
            check_finite(wanted, f"layer '{self.layers[number].path}'", self.model, how.precision)
            size = wanted.square().flatten(1).sum(1)
            size = torch.where(size > 0, size, torch.ones_like(size))

        def error(images: Tensor) -> Tensor:
            return (self._features(reader, images) - wanted).square().flatten(1).sum(1) / size

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

        noise = spectrum.noise(1, torch.Generator().manual_seed(how.seed), _FAINT)
        start = noise.expand(len(shown), *noise.shape[1:])
        done = descent(descent(start, 0, coarse), coarse, how.steps - coarse)
        with torch.no_grad():
            images = as_written(spectrum.paint(done))
            return images, error(images)

    def _features(self, reader: Reader, images: Tensor) -> Tensor:
        return reader.output(normalize(images, self.model.preprocessing))
