"""Activation maximization: optimize images that maximize a channel or a class.

Olah et al., "Feature Visualization", Distill 2017. Images are parameterized by `fourier.Spectrum` and seen through
the random transforms of `augment.Moves`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from camviz.errors import ModelError, RequestError, first_of
from camviz.feature_maps.channels import parse_channels
from camviz.feature_maps.early_exit import Reader
from camviz.feature_maps.visualization.augment import Moves, view
from camviz.feature_maps.visualization.fourier import Spectrum
from camviz.feature_maps.visualization.image_space import as_written, check_finite, from_image, normalize, to_pixels
from camviz.feature_maps.visualization.optimize import Tick, descend, no_progress
from camviz.hooks.capture import borrowed
from camviz.hooks.devices import default_batch_size
from camviz.models.layers import channels_of, find_layers
from camviz.models.survey import Survey, survey
from camviz.render.bar import number, percent
from camviz.render.names import model_name
from camviz.render.paper import compose
from camviz.render.sheet import Sheet, Tile, table
from camviz.render.tiles import tile_pixels
from camviz.tasks.classification import TargetSpec, choose, parse_targets
from camviz.types import Figure, Image, Model, Pixels, Style

NOISES = 32  # noise images, whose mean is the baseline
_CONTRAST = 0.05  # contrast of the initial noise relative to a natural image
_DECAY = 0.003  # towards gray per step, against saturated colors
_RATE = 0.2  # initial learning rate, annealed to zero
_LEAST = 0.1  # fraction of the transforms left at the end: late in the optimization they blur fine details

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MaximizeSettings:
    """Settings of the optimization. `size`: side in pixels, 0 for the model's own; `start`: None for noise."""

    steps: int = 256
    size: int = 0
    seed: int = 0
    start: Image | None = None
    moves: Moves | None = field(default_factory=Moves)
    batch_size: int = 0
    precision: str = "fp32"
    tick: Tick = no_progress


@dataclass(frozen=True, eq=False)
class Maximized:
    """Images (n, H, W, 3) uint8 that maximize the channels or classes `names`, with their activations.

    `noise` (n,): mean |activation| over noise images with the spectrum, colors and contrast of natural images.
    `before` (n,): mean activation of the noise, or of the initial image. `after` (n,): activation of `pixels`.
    `probabilities` (n,): of classes.
    """

    pixels: Pixels = field(repr=False)
    names: tuple[str, ...]
    noise: Floats
    before: Floats
    after: Floats
    model: str
    layer: str = ""
    probabilities: Floats | None = None
    settings: tuple[str, ...] = ()

    @property
    def raises(self) -> list[float | None]:
        """Activation relative to the magnitude for noise; None where noise gives zero."""
        return [float(a / n) if n > 0 else None for a, n in zip(self.after, self.noise, strict=True)]

    def figure(self, format: str = "png", style: Style | None = None) -> Figure:
        """Draw all images with their names and the activation before and after."""
        tiles, style = [], style or Style()
        for i, (name, times) in enumerate(zip(self.names, self.raises, strict=True)):
            change = f"{number(float(self.before[i]))} to {number(float(self.after[i]))}"
            over = f"{number(times)} × noise" if times else f"noise {number(float(self.noise[i]))}"
            probability = "" if self.probabilities is None else percent(float(self.probabilities[i]))
            tiles.append(Tile(tile_pixels(self.pixels[i], 4, style), name, (change, over, probability)))
        source = f"{self.layer or 'classes'} of {model_name(self.model)}"
        sheet = Sheet(table(tiles, style), caption=(source, *self.settings), tile=44.0)
        return compose("maximize", sheet, format, style, self.facts(), source)

    def facts(self) -> dict[str, Any]:
        """Return model, layer and activations for JSON."""
        images = []
        for i, name in enumerate(self.names):
            facts: dict[str, Any] = {"name": name, "noise": float(self.noise[i]), "before": float(self.before[i])}
            facts |= {"after": float(self.after[i]), "raise": self.raises[i]}
            facts |= {} if self.probabilities is None else {"probability": float(self.probabilities[i])}
            images.append(facts)
        return {"model": self.model, "layer": self.layer or None, "images": images}


@dataclass(frozen=True, eq=False)
class _Objective:
    """A quantity to maximize: its name, and how to read it (n,) from a layer's maps or from logits."""

    name: str
    read: Callable[[Tensor], Tensor]
    index: int | None = None


def maximize(model: Model, layer: str, channels: Sequence[int], *, unit: bool = False, **how: Any) -> Maximized:
    """Optimize images that maximize channels of a layer: the mean of the map, or with `unit` its center.

    Settings as in `MaximizeSettings`. The model is left unchanged.
    """
    settings = MaximizeSettings(**how)
    seen = _survey(model, settings)
    layers = find_layers(model, [layer], seen)
    if len(layers) > 1:
        raise RequestError(f"'{layer}' matches {len(layers)} layers of {model.name}", f"--layer {layers[0].path}")
    chosen = parse_channels([str(channel) for channel in channels], channels_of(layers[0]), layers[0].path)
    objectives = [_Objective(f"channel {k}", _center(k) if unit else _mean(k)) for k in chosen]
    reader = Reader.at(model, layers[0], seen, settings.precision)
    reading = "activation at the center of the map" if unit else "mean activation of the map"
    path = layers[0].path
    return _Ascent(model, settings, seen, reader.maps).run(objectives, f"layer '{path}'", path, reading)


def maximize_classes(model: Model, targets: Sequence[str], **how: Any) -> Maximized:
    """Optimize images that maximize the logits of classes; `targets` as on the command line.

    Settings as in `MaximizeSettings`. The model is left unchanged.
    """
    settings = MaximizeSettings(**how)
    classes = check_classes(targets, model.labels, model.name, settings.start is not None)
    seen = _survey(model, settings)
    ascent = _Ascent(model, settings, seen, Reader.at(model, None, seen, settings.precision).output)
    return ascent.run(lambda row: [_class(wanted, row, model) for wanted in classes], "the output", "", "logit")


def check_classes(targets: Sequence[str], labels: Sequence[str], name: str, image: bool) -> list[TargetSpec]:
    """Parse the classes of --target; raise `RequestError` for top1 and the like without an initial image."""
    classes = parse_targets(targets, labels, name)
    ranked = next((wanted for wanted in classes if wanted.rank is not None), None)
    if ranked and not image:
        raise RequestError(
            f"'{ranked.facet}' is a class of an image, and there is no image", "--target 0, or --from IMAGE"
        )
    return classes


def _class(wanted: TargetSpec, row: Tensor, model: Model) -> _Objective:
    target = choose(wanted, row, model.labels, "logit", model.name)
    return _Objective(target.label, target.read, target.index)


def _mean(channel: int) -> Callable[[Tensor], Tensor]:
    return lambda maps: maps[:, channel].mean((1, 2))


def _center(channel: int) -> Callable[[Tensor], Tensor]:
    return lambda maps: maps[:, channel, maps.shape[2] // 2, maps.shape[3] // 2]


def _survey(model: Model, settings: MaximizeSettings) -> Survey:
    """Survey the model's layers at the size of the images."""
    crop, size = model.preprocessing.crop, settings.size
    try:
        return survey(model.module, (size, size) if size else crop, model.name)
    except ModelError as error:
        hint = f"--size {crop[0]}" if size and crop[0] == crop[1] else error.hint
        raise ModelError(error.message, hint) from error


class _Ascent:
    """Maximize objectives on images of one size; `outputs` maps inputs to the tensor that objectives read."""

    def __init__(
        self, model: Model, settings: MaximizeSettings, seen: Survey, outputs: Callable[[Tensor], Tensor]
    ) -> None:
        self.model, self.settings, self.outputs = model, settings, outputs
        self.height, self.width = seen.input_size
        self.channels = len(model.preprocessing.mean)
        self.spectrum = Spectrum.of(self.channels, self.height, self.width, model.device)
        self.size = settings.batch_size or default_batch_size(model.device)

    def run(
        self,
        objectives: list[_Objective] | Callable[[Tensor], list[_Objective]],
        where: str,
        layer: str,
        reading: str,
    ) -> Maximized:
        """Maximize the objectives, or those that the callable returns for the output of the initial image."""
        settings = self.settings
        generator = torch.Generator().manual_seed(settings.seed)
        with borrowed(self.model.module), torch.no_grad():
            noise = self.spectrum.noise(NOISES, generator)
            start = None
            if settings.start:
                start = from_image(settings.start, self.model, self.height, self.width)
            if callable(objectives):
                objectives = objectives(self._output(start if start is not None else self.spectrum.paint(noise[:1]))[0])
            if not objectives:
                raise RequestError("nothing to maximize", "--channel 0, or --target with a class")
            baseline = self._read_all(objectives, self.spectrum.paint(noise))  # (noises, objectives)
            self._check(baseline, objectives, where)
            before = baseline.mean(0) if start is None else self._read_all(objectives, start)[0]
            if start is None:  # the noise with the highest activation: a ReLU at zero has no gradient
                begin = _CONTRAST * noise[baseline.argmax(0).to(noise.device)]
            else:
                begin = self.spectrum.analyze(start).expand(len(objectives), *self.spectrum.shape)
            pixels, after, probabilities = self._batches(objectives, begin)
            self._check(after[None], objectives, where)
        initial = settings.start.name if settings.start else f"{NOISES} noise images"
        words = (f"{reading}, of {initial} and of the result", f"× noise: relative to {NOISES} noise images")
        magnitude = baseline.abs().mean(0).cpu().numpy()
        values = (magnitude, before.cpu().numpy(), after.cpu().numpy())
        names = tuple(objective.name for objective in objectives)
        facts = (*words, f"{settings.steps} steps", f"seed {settings.seed}")
        return Maximized(pixels, names, *values, self.model.name, layer, probabilities, facts)

    def _batches(self, objectives: list[_Objective], begin: Tensor) -> tuple[Pixels, Tensor, Floats | None]:
        """Return the images, the activations as written, and the probabilities of classes."""
        pixels, after, probabilities = [], [], []
        batches = range(0, len(objectives), self.size)
        for count, first in enumerate(batches):
            batch = objectives[first : first + self.size]
            done = self._ascend(batch, begin[first : first + self.size], count, len(batches))
            images = as_written(self.spectrum.paint(done))
            output = self._output(images)
            after.append(torch.stack([objective.read(output)[i] for i, objective in enumerate(batch)]))
            pixels.append(to_pixels(images))
            classes = [(i, objective.index) for i, objective in enumerate(batch) if objective.index is not None]
            probabilities += [float(output[i].softmax(0)[index]) for i, index in classes]
        softmax = np.array(probabilities, np.float32) if probabilities else None
        return np.concatenate(pixels), torch.cat(after), softmax

    def _ascend(self, objectives: list[_Objective], begin: Tensor, count: int, batches: int) -> Tensor:
        """Optimize one batch; every batch uses the same transforms, so that no image depends on the others."""
        settings, generator = self.settings, torch.Generator().manual_seed(self.settings.seed)
        shares = iter(torch.linspace(1, _LEAST, settings.steps).tolist())

        def loss(coefficients: Tensor) -> Tensor:
            images = self.spectrum.paint(coefficients)
            if settings.moves:
                images = view(images, settings.moves.draw(generator, next(shares)))
            output = self._output(images)
            return torch.stack([-objective.read(output)[i] for i, objective in enumerate(objectives)])

        def tick(done: int, total: int) -> None:
            settings.tick(count * total + done, batches * total)

        return descend(begin, loss, settings.steps, rate=_RATE, decay=_DECAY, settle=True, tick=tick)

    def _output(self, images: Tensor) -> Tensor:
        return self.outputs(normalize(images, self.model.preprocessing))

    def _read_all(self, objectives: list[_Objective], images: Tensor) -> Tensor:
        """Return the activations (images, objectives)."""
        outputs = (self._output(part) for part in torch.split(images, self.size))
        return torch.cat([torch.stack([objective.read(output) for objective in objectives], 1) for output in outputs])

    def _check(self, values: Tensor, objectives: list[_Objective], where: str) -> None:
        finite = torch.isfinite(values).all(0).tolist()
        bad = [objective.name for objective, good in zip(objectives, finite, strict=True) if not good]
        if bad:
            check_finite(values, f"{where} ({first_of(bad)})", self.model, self.settings.precision)
