"""Where cases come from: the one place of the metrics that knows the engine."""

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
from camviz.types import Job, Map, Model, Target, View

if TYPE_CHECKING:
    from torch import Tensor

    from camviz.engine.explain import Explainer

Name = tuple[str, str]  # method, layer
Maps = dict[Name, Map]
_STAGES = 4  # of forgetting, for the metric of sanity


@dataclass(frozen=True, eq=False)
class Asked:
    """The maps of one image of a batch for one target, by name, as a case."""

    image: int
    target: Target
    names: list[Name]
    case: Case


@dataclass(frozen=True, eq=False)
class Unanswered:
    """An image of a batch in which there is nothing to explain."""

    image: int
    error: InputError


class Source:
    """A job's methods and layers over one model, with the baselines beside them."""

    def __init__(self, model: Model, explainer: Explainer, forwards: int) -> None:
        self.model, self.explainer, self.forwards = model, explainer, forwards

    @property
    def job(self) -> Job:
        """What is explained, and how."""
        return self.explainer.job

    def __call__(self, inputs: Sequence[NDArray[np.float32]], views: Sequence[View]) -> Iterator[Asked | Unanswered]:
        """The cases of a batch, target by target, and the images without anything to explain; inputs of one shape."""
        import torch

        from camviz.engine.forward import run_forward

        batch = torch.from_numpy(np.stack(inputs)).to(self.model.device)
        errors: dict[int, InputError] = {}
        with self.explainer.task.attending(self.model.module, (batch.shape[2], batch.shape[3])):
            passed = run_forward(self.explainer.ask, batch)
            for wanted in self.explainer.wanted:
                for targets, here, _ in self.explainer.rounds(wanted, passed, views, errors):
                    found = _read(self.explainer, passed, targets)
                    for i in here:
                        yield Asked(i, targets[i], list(found[i]), self._case(batch[i], found[i], views[i], targets[i]))
        for i, error in errors.items():
            yield Unanswered(i, error)

    def _case(self, inputs: Tensor, found: Maps, view: View, target: Target) -> Case:
        how, names = self.model.preprocessing, list(found)

        def again(others: Tensor) -> list[list[Map]]:
            return [_ordered(maps, names) for maps in _explain(self.explainer, others, target)]

        def shuffled() -> list[list[Map]]:
            found = [_explain(one, inputs[None], target, salt)[0] for salt, one in enumerate(self._shuffled, 1)]
            return [_ordered(maps, names) for maps in found]

        return Case(
            inputs,
            list(found.values()),
            view,
            self._scores(target),
            again,
            shuffled,
            how.mean,
            how.std,
            forwards=self.forwards,
            seed=self.job.seed,
        )

    def _scores(self, target: Target) -> Scores:
        from camviz.engine.forward import rescore

        return lambda total, batch: rescore(self.explainer.ask, target, total, batch, "prob")

    @cached_property
    def _shuffled(self) -> list[Explainer]:
        """The same question to models that have forgotten ever more."""
        from camviz.engine.explain import Explainer
        from camviz.engine.randomize import twins

        return [Explainer(twin, self.job) for twin in twins(self.model, _STAGES, self.job.seed)]


def _explain(explainer: Explainer, inputs: Tensor, target: Target, salt: int = 0) -> list[Maps]:
    """The maps of other inputs (n, c, H, W) for a target chosen before."""
    from camviz.engine.forward import run_forward

    found: list[Maps] = []
    size = explainer.ask.chunks.size
    for part in (inputs[start : start + size] for start in range(0, len(inputs), size)):
        found += _read(explainer, run_forward(explainer.ask, part), [target] * len(part), salt)
    return found


def _read(explainer: Explainer, passed: object, targets: Sequence[Target], salt: int = 0) -> list[Maps]:
    """All maps of one pass, and the baselines: one dict per image. Another `salt`, another random map."""
    from camviz.engine.forward import Pass
    from camviz.engine.probe import Reading

    assert isinstance(passed, Pass)
    maps: list[Maps] = [{} for _ in targets]
    for found in explainer.read(Reading(passed, targets)):
        for own, values, facts in zip(maps, found.values, found.facts, strict=True):
            method = f"{found.method} part {facts['part']}" if "part" in facts else found.method
            own[method, found.layer] = values
    asked_random = any(chosen.name == RANDOM for chosen in explainer.methods)
    for own, image in zip(maps, passed.inputs, strict=True):
        seed = zlib.crc32(image.cpu().numpy().tobytes(), explainer.job.seed + 7919 * salt)
        sizes = {layer: values.shape for (_, layer), values in own.items()}
        for number, (layer, shape) in enumerate(sizes.items() if not asked_random else ()):
            own[RANDOM, layer] = noise(shape, seed + number)
        own[GAUSSIAN, ""] = centered(tuple(image.shape[1:]))
    return maps


def _ordered(maps: Maps, names: Sequence[Name]) -> list[Map]:
    """The maps of the names; NaN for one that this model does not give."""
    return [maps.get(name, np.full((1, 1), np.nan, np.float32)) for name in names]
