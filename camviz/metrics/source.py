"""Make cases from a request's maps: the only module of the metrics that uses the engine."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError
from camviz.metrics.baselines import GAUSSIAN, RANDOM, centered, noise
from camviz.metrics.case import Case, Scores
from camviz.types import Map, Model, Request, Target, View

if TYPE_CHECKING:
    from torch import Tensor

    from camviz.engine.explain import Explainer

Name = tuple[str, str]  # method, layer
Maps = dict[Name, Map]
_STAGES = 4  # of the cascading randomization, for the sanity metric


@dataclass(frozen=True, eq=False)
class ImageCase:
    """The case of one image of a batch and one target, with the names of its maps."""

    image: int
    target: Target
    names: list[Name]
    case: Case


@dataclass(frozen=True, eq=False)
class ImageError:
    """An image of a batch without anything to explain."""

    image: int
    error: InputError


class Source:
    """Computes the maps of a request's methods and layers for one model, and the baselines."""

    def __init__(self, model: Model, explainer: Explainer, forwards: int) -> None:
        self.model, self.explainer, self.forwards = model, explainer, forwards

    @property
    def request(self) -> Request:
        """The request of the explainer."""
        return self.explainer.request

    def __call__(
        self, inputs: Sequence[NDArray[np.float32]], views: Sequence[View]
    ) -> Iterator[ImageCase | ImageError]:
        """Yield the cases of a batch, target by target, then the images without any; inputs have one shape."""
        import torch

        from camviz.engine.forward import run_forward

        batch = torch.from_numpy(np.stack(inputs)).to(self.model.device)
        errors: dict[int, InputError] = {}
        with self.explainer.task.attending(self.model.module, (batch.shape[2], batch.shape[3])):
            passed = run_forward(self.explainer.ask, batch)
            for wanted in self.explainer.wanted:
                for targets, present, _ in self.explainer.rounds(wanted, passed, views, errors):
                    maps = _read(self.explainer, passed, targets)
                    for i in present:
                        case = self._case(batch[i], maps[i], views[i], targets[i])
                        yield ImageCase(i, targets[i], list(maps[i]), case)
        for i, error in errors.items():
            yield ImageError(i, error)

    def _case(self, inputs: Tensor, maps: Maps, view: View, target: Target) -> Case:
        how, names = self.model.preprocessing, list(maps)

        def again(others: Tensor) -> list[list[Map]]:
            return [_ordered(other, names) for other in _explain(self.explainer, others, target)]

        def randomized() -> list[list[Map]]:
            stages = enumerate(self._randomized, 1)
            return [_ordered(_explain(stage, inputs[None], target, salt)[0], names) for salt, stage in stages]

        return Case(
            inputs,
            list(maps.values()),
            view,
            self._scores(target),
            again,
            randomized,
            how.mean,
            how.std,
            forwards=self.forwards,
            seed=self.request.seed,
        )

    def _scores(self, target: Target) -> Scores:
        from camviz.engine.forward import rescore

        return lambda total, batch: rescore(self.explainer.ask, target, total, batch, "prob")

    @cached_property
    def _randomized(self) -> list[Explainer]:
        """The explainers of the same request for the stages of the cascading randomization."""
        from camviz.engine.explain import Explainer
        from camviz.engine.randomize import cascade

        return [Explainer(stage, self.request) for stage in cascade(self.model, _STAGES, self.request.seed)]


def _explain(explainer: Explainer, inputs: Tensor, target: Target, salt: int = 0) -> list[Maps]:
    """Return the maps of other inputs (n, c, H, W) for one target."""
    from camviz.engine.forward import run_forward

    maps: list[Maps] = []
    size = explainer.ask.chunks.size
    for chunk in (inputs[start : start + size] for start in range(0, len(inputs), size)):
        maps += _read(explainer, run_forward(explainer.ask, chunk), [target] * len(chunk), salt)
    return maps


def _read(explainer: Explainer, passed: object, targets: Sequence[Target], salt: int = 0) -> list[Maps]:
    """Return all maps of one forward pass and the baselines, one dict per image; `salt` varies the random map."""
    from camviz.engine.forward import ForwardPass
    from camviz.engine.probe import Reading

    assert isinstance(passed, ForwardPass)
    maps: list[Maps] = [{} for _ in targets]
    for method_maps in explainer.read(Reading(passed, targets)):
        for image_maps, values, facts in zip(maps, method_maps.values, method_maps.facts, strict=True):
            method = f"{method_maps.method} part {facts['part']}" if "part" in facts else method_maps.method
            image_maps[method, method_maps.layer] = values
    random_chosen = any(chosen.name == RANDOM for chosen in explainer.methods)
    for image_maps, image in zip(maps, passed.inputs, strict=True):
        seed = zlib.crc32(image.cpu().numpy().tobytes(), explainer.request.seed + 7919 * salt)
        sizes = {layer: values.shape for (_, layer), values in image_maps.items()}
        for number, (layer, shape) in enumerate(sizes.items() if not random_chosen else ()):
            image_maps[RANDOM, layer] = noise(shape, seed + number)
        image_maps[GAUSSIAN, ""] = centered(tuple(image.shape[1:]))
    return maps


def _ordered(maps: Maps, names: Sequence[Name]) -> list[Map]:
    """Return the maps in the order of the names; NaN for a map that this model does not have."""
    return [maps.get(name, np.full((1, 1), np.nan, np.float32)) for name in names]
