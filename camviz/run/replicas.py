"""Replicas of a small model, a thread each, for methods that need little work per image."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from camviz.engine.explain import Explainer
from camviz.engine.replicas import sibling, small
from camviz.run.reading import Ready
from camviz.run.threads import LANES, cores
from camviz.types import Model, Request, SaliencyMap

_LIGHT = ("nothing", "1 backward")  # what a method costs that is done in a moment


def is_light(request: Request, explainer: Explainer) -> bool:
    """Return whether all methods of a request need at most one backward pass."""
    light = all(chosen.entry.facts["cost"].startswith(_LIGHT) for chosen in explainer.methods)
    return light and request.smooth == "none"


def lanes_for(request: Request, explainer: Explainer) -> list[Lane]:
    """The explainer, and others beside it.

    Light methods of small models run on several images at once, a thread each; everything else has all threads
    for itself. That depends on nothing but request, model and machine, so that the same run gives the same bytes.
    """
    return _side_by_side(request, explainer) if is_light(request, explainer) else [Lane(request, explainer)]


@dataclass(eq=False)
class Lane:
    """An explainer, or one that is made from a copy of the model when it is first needed."""

    request: Request
    explainer: Explainer | None = None
    original: Model | None = None  # never run itself

    def __call__(self, group: list[Ready]) -> Sequence[list[SaliencyMap] | Exception]:
        if self.explainer is None:
            with _COPYING:
                copied = sibling(self.original) if self.original else None
            assert copied
            self.explainer = Explainer(copied, self.request)
        return self.explainer([r.image for r in group], [r.values for r in group], [r.view for r in group])


_COPYING = threading.Lock()


def _side_by_side(request: Request, explainer: Explainer) -> list[Lane]:
    """The explainer, and as many more as cores can be kept busy with, on copies of its model."""
    model, first = explainer.model, Lane(request, explainer)
    lanes = min(cores(), LANES) if model.device == "cpu" and small(model) else 1
    original = sibling(model) if lanes > 1 else None
    return [first, *(Lane(request, original=original) for _ in range(lanes - 1))] if original else [first]
