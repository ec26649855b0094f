"""Checks of raw maps: why a map is blank, and whether it is weaker than maps of randomized weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from camviz.models.layers import find_layers
from camviz.types import Map

if TYPE_CHECKING:
    from camviz.engine.probe import Probe

Kind = tuple[str, str, int]  # method, layer, part


@dataclass(frozen=True, eq=False)
class Found:
    """One map of every image of a batch: values (n, h, w), and what tells it from the others."""

    method: str
    layer: str
    values: NDArray[np.float32]
    facts: list[dict[str, Any]]
    facets: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """Method, layer, and the part of a method that gives several."""
        return self.method, self.layer, int(self.facts[0].get("part", 0)) if self.facts else 0


class Reason(NamedTuple):
    """What was seen, and what to do about it."""

    seen: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.seen}; {self.advice}" if self.advice else self.seen


def why_blank(values: Map, probe: Probe, image: int) -> Reason | None:
    """The reason for a map (h, w) that shows nothing under --sign positive; None for one that shows something."""
    path = probe.layer.path
    if not np.isfinite(values).all():
        return Reason(f"the map has NaN or infinite values; they arise at or before layer '{path}'")
    if values.max(initial=0) > 0:
        return None
    if "gradients" in probe.__dict__ and not bool(probe.gradients[image].any()):
        live = find_layers(probe.reading.passed.ask.model, [])[0].path
        advice = f"--layer {live} has one" if live != path else "is the model untrained, or saturated?"
        return Reason(f"blank: the score has no gradient at layer '{path}'", advice)
    if values.min(initial=0) < 0:
        return Reason(f"blank: all evidence at layer '{path}' speaks against this class", "--sign both shows it")
    return Reason(f"blank: all values are zero at layer '{path}'")


def variation(values: Map) -> float:
    """By how much a raw map varies over the image: what is the same everywhere says nothing of where."""
    finite = values[np.isfinite(values)]
    return float(finite.max() - finite.min()) if finite.size else 0.0


def variations(maps: Iterable[Found]) -> dict[Kind, list[float]]:
    """How much each of the maps of a batch varies, by method, layer and part."""
    return {one.kind: [variation(values) for values in one.values] for one in maps}


def why_weak(values: Map, noise: float) -> str:
    """What to say of a map that varies no more than one of noise; "" for one that does."""
    own = variation(values)
    if own > noise:
        return ""
    return f"weak: it varies by {own:.3g} over the image, with shuffled weights by {noise:.3g}"
