"""The image that excites a channel or a class most, found by optimization.

Olah et al., "Feature Visualization", Distill 2017. `features.spectrum` is what is moved, `features.moves` what
keeps it from fooling the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from camviz.errors import ModelError, RequestError
from camviz.feature_maps.channels import parse_channels
from camviz.feature_maps.early_exit import Reader
from camviz.feature_maps.visualization.augment import Moves, view
from camviz.feature_maps.visualization.fourier import Spectrum
from camviz.feature_maps.visualization.image_space import as_written, check_finite, from_image, normalize, to_pixels
from camviz.feature_maps.visualization.optimize import Tick, descend, nobody
from camviz.hooks.capture import borrowed
from camviz.hooks.devices import default_batch_size
from camviz.models.layers import channels_of, find_layers
from camviz.models.survey import Survey, survey
from camviz.render.bar import number
from camviz.render.frame import Line, percent
from camviz.render.gallery import Tile, gallery
from camviz.render.montage import columns_for
from camviz.tasks.classification import Wanted, choose, parse_targets
from camviz.types import Image, Model, Pixels

NOISES = 32  # images of noise that the baseline is the mean over
_ROW = 4  # so few images stand side by side
_FAINT = 0.05  # contrast of the noise it starts from, as a part of an ordinary image's
_PULL = 0.003  # towards gray in every step, against colors beyond what an image can hold
_RATE = 0.2  # of the first steps; the last ones hardly move
_LEAST = 0.1  # of the moves is left at the end: they keep out patterns of pixels early, and blur what is fine late

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Climb:
    """How the optimization goes. `size`: side in pixels, 0: as the model was trained; `start`: None means noise."""

    steps: int = 256
    size: int = 0
    seed: int = 0
    start: Image | None = None
    moves: Moves | None = field(default_factory=Moves)
    batch_size: int = 0
    precision: str = "fp32"
    tick: Tick = nobody


@dataclass(frozen=True, eq=False)
class Maximized:
    """The images (n, H, W, 3) uint8 that excite `names` most, and how much.

    `noise` (n,): the mean magnitude over images of noise that share the 1/f fall, the colors and the contrast of
    ordinary images. `before`: their mean, or that of the image the optimization started from. `after`: that of
    `pixels`, as they are. `probabilities` (n,) of classes.
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
        """How many times the magnitude that noise reaches each one reached; None where noise leaves it at zero."""
        return [float(a / n) if n > 0 else None for a, n in zip(self.after, self.noise, strict=True)]

    def figure(self) -> Pixels:
        """All images on one sheet: what is excited, its activation before and after."""
        tiles = []
        for i, (name, times) in enumerate(zip(self.names, self.raises, strict=True)):
            change = f"{number(float(self.before[i]))} to {number(float(self.after[i]))}"
            over = f"{number(times)} × noise" if times else f"noise {number(float(self.noise[i]))}"
            sure = "" if self.probabilities is None else percent(float(self.probabilities[i]))
            tiles.append(Tile(self.pixels[i], name, (change, " · ".join(filter(None, (over, sure))))))
        where = Line((self.layer or "classes", self.model), title=True)
        across = max(min(len(tiles), _ROW), columns_for(len(tiles), *self.pixels.shape[1:3]))
        return gallery(tiles, across, (where, Line(self.settings)))

    def facts(self) -> dict[str, Any]:
        """What is worth knowing, ready for JSON."""
        shown = []
        for i, name in enumerate(self.names):
            one: dict[str, Any] = {"name": name, "noise": float(self.noise[i]), "before": float(self.before[i])}
            one |= {"after": float(self.after[i]), "raise": self.raises[i]}
            one |= {} if self.probabilities is None else {"probability": float(self.probabilities[i])}
            shown.append(one)
        return {"model": self.model, "layer": self.layer or None, "images": shown}


@dataclass(frozen=True, eq=False)
class _Goal:
    """One thing to excite: its name, and how it is read (n,) from a layer's maps or from logits."""

    name: str
    read: Callable[[Tensor], Tensor]
    index: int | None = None


def maximize(model: Model, layer: str, channels: Sequence[int], *, unit: bool = False, **how: Any) -> Maximized:
    """The images that excite channels of a layer: the mean of each one's map, or with `unit` its center.

    Settings as in `Climb`. The model comes back as it was.
    """
    climb = Climb(**how)
    seen = _survey(model, climb)
    found = find_layers(model, [layer], seen)
    if len(found) > 1:
        raise RequestError(f"'{layer}' means {len(found)} layers of {model.name}", f"--layer {found[0].path}")
    chosen = parse_channels([str(channel) for channel in channels], channels_of(found[0]), found[0].path)
    goals = [_Goal(f"channel {k}", _center(k) if unit else _mean(k)) for k in chosen]
    reader = Reader.at(model, found[0], seen, climb.precision)
    reading = "the center of the map" if unit else "the mean of the map"
    return _Ascent(model, climb, seen, reader.maps).run(goals, f"layer '{found[0].path}'", found[0].path, reading)


def maximize_classes(model: Model, targets: Sequence[str], **how: Any) -> Maximized:
    """The images that excite the logits of classes; `targets` as on the command line, settings as in `Climb`."""
    climb = Climb(**how)
    wanted = check_classes(targets, model.labels, model.name, climb.start is not None)
    seen = _survey(model, climb)
    ascent = _Ascent(model, climb, seen, Reader.at(model, None, seen, climb.precision).output)
    return ascent.run(lambda row: [_class(one, row, model) for one in wanted], "the output", "", "the logit")


def check_classes(targets: Sequence[str], labels: Sequence[str], name: str, image: bool) -> list[Wanted]:
    """The classes meant by --target; top1 and the like need an image to start from."""
    wanted = parse_targets(targets, labels, name)
    ranked = next((one for one in wanted if one.rank is not None), None)
    if ranked and not image:
        raise RequestError(
            f"'{ranked.facet}' means the classes of an image, and there is none yet",
            "--target with a class, as in --target 0; or --from IMAGE",
        )
    return wanted


def _class(wanted: Wanted, row: Tensor, model: Model) -> _Goal:
    target = choose(wanted, row, model.labels, "logit", model.name)
    return _Goal(target.label, target.read, target.index)


def _mean(channel: int) -> Callable[[Tensor], Tensor]:
    return lambda maps: maps[:, channel].mean((1, 2))


def _center(channel: int) -> Callable[[Tensor], Tensor]:
    return lambda maps: maps[:, channel, maps.shape[2] // 2, maps.shape[3] // 2]


def _survey(model: Model, climb: Climb) -> Survey:
    """The model's layers at the size of the images."""
    crop = model.preprocessing.crop
    try:
        return survey(model.module, (climb.size, climb.size) if climb.size else crop, model.name)
    except ModelError as error:
        hint = f"--size {crop[0]}" if climb.size and crop[0] == crop[1] else error.hint
        raise ModelError(error.message, hint) from error


class _Ascent:
    """Images of one size on their way up. `outputs` gives from inputs what the goals are read from."""

    def __init__(self, model: Model, climb: Climb, seen: Survey, outputs: Callable[[Tensor], Tensor]) -> None:
        self.model, self.climb, self.outputs = model, climb, outputs
        self.height, self.width = seen.input_size
        self.channels = len(model.preprocessing.mean)
        self.spectrum = Spectrum.of(self.channels, self.height, self.width, model.device)
        self.size = climb.batch_size or default_batch_size(model.device)

    def run(
        self, goals: list[_Goal] | Callable[[Tensor], list[_Goal]], where: str, layer: str, reading: str
    ) -> Maximized:
        """Excite the goals, or those that follow from what the model says of the starting image."""
        climb = self.climb
        generator = torch.Generator().manual_seed(climb.seed)
        with borrowed(self.model.module), torch.no_grad():
            noise = self.spectrum.noise(NOISES, generator)
            start = None
            if climb.start:
                start = from_image(climb.start, self.model, self.height, self.width)
            if callable(goals):
                goals = goals(self._look(start if start is not None else self.spectrum.paint(noise[:1]))[0])
            if not goals:
                raise RequestError("nothing to maximize", "--channel 0, or --target with a class")
            heard = self._read_all(goals, self.spectrum.paint(noise))  # (noises, goals)
            self._check(heard, goals, where)
            before = heard.mean(0) if start is None else self._read_all(goals, start)[0]
            if start is None:  # from the noise that excites most: a ReLU gives no gradient to what is silent
                begin = _FAINT * noise[heard.argmax(0).to(noise.device)]
            else:
                begin = self.spectrum.analyze(start).expand(len(goals), *self.spectrum.shape)
            pixels, after, sure = self._climb(goals, begin)
            self._check(after[None], goals, where)
        words = (self._before(), f"× noise: of the mean magnitude over {NOISES}")
        settings = (reading, f"{climb.steps} steps", f"seed {climb.seed}", *words)
        magnitude = heard.abs().mean(0).cpu().numpy()  # the mean itself of what is never negative
        values = (magnitude, before.cpu().numpy(), after.cpu().numpy())
        names = tuple(goal.name for goal in goals)
        return Maximized(pixels, names, *values, self.model.name, layer, sure, settings)

    def _before(self) -> str:
        if self.climb.start:
            return f"the first number: {self.climb.start.name}"
        return f"the first number: mean over {NOISES} images of noise"

    def _climb(self, goals: list[_Goal], begin: Tensor) -> tuple[Pixels, Tensor, Floats | None]:
        """The images, what each reads as written, and the probabilities of classes."""
        pixels, after, sure = [], [], []
        batches = range(0, len(goals), self.size)
        for count, first in enumerate(batches):
            batch = goals[first : first + self.size]
            done = self._ascend(batch, begin[first : first + self.size], count, len(batches))
            images = as_written(self.spectrum.paint(done))
            output = self._look(images)
            after.append(torch.stack([goal.read(output)[i] for i, goal in enumerate(batch)]))
            pixels.append(to_pixels(images))
            sure += [float(output[i].softmax(0)[g.index]) for i, g in enumerate(batch) if g.index is not None]
        return np.concatenate(pixels), torch.cat(after), np.array(sure, np.float32) if sure else None

    def _ascend(self, goals: list[_Goal], begin: Tensor, count: int, batches: int) -> Tensor:
        """One batch up. Each batch sees the same moves: no image depends on the others asked for."""
        climb, generator = self.climb, torch.Generator().manual_seed(self.climb.seed)
        shares = iter(torch.linspace(1, _LEAST, climb.steps).tolist())

        def loss(coefficients: Tensor) -> Tensor:
            images = self.spectrum.paint(coefficients)
            if climb.moves:
                images = view(images, climb.moves.draw(generator, next(shares)))
            output = self._look(images)
            return torch.stack([-goal.read(output)[i] for i, goal in enumerate(goals)])

        def tick(done: int, total: int) -> None:
            climb.tick(count * total + done, batches * total)

        return descend(begin, loss, climb.steps, rate=_RATE, decay=_PULL, settle=True, tick=tick)

    def _look(self, images: Tensor) -> Tensor:
        return self.outputs(normalize(images, self.model.preprocessing))

    def _read_all(self, goals: list[_Goal], images: Tensor) -> Tensor:
        """(images, goals): what every goal reads from every image."""
        outputs = (self._look(part) for part in torch.split(images, self.size))
        return torch.cat([torch.stack([goal.read(output) for goal in goals], 1) for output in outputs])

    def _check(self, values: Tensor, goals: list[_Goal], where: str) -> None:
        bad = [goal.name for i, goal in enumerate(goals) if not bool(torch.isfinite(values[:, i]).all())]
        if bad:
            named = ", ".join(bad[:6]) + (", …" if len(bad) > 6 else "")
            check_finite(values, f"{where} ({named})", self.model, self.climb.precision)
