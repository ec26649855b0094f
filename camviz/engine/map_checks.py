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
class MethodMaps:
    """The maps of one method at one layer for a batch: values (n, h, w), and the facts and facets of each image."""

    method: str
    layer: str
    values: NDArray[np.float32]
    facts: list[dict[str, Any]]
    facets: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """Method, layer, and the number of the part, for methods with several parts."""
        return self.method, self.layer, int(self.facts[0].get("part", 0)) if self.facts else 0


class Reason(NamedTuple):
    """Why a map is blank, and what to do about it."""

    cause: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.cause}; {self.advice}" if self.advice else self.cause


def why_blank(values: Map, probe: Probe, image: int) -> Reason | None:
    """Return why a map (h, w) is blank under --sign positive; None if it has a positive value."""
    path = probe.layer.path
    if not np.isfinite(values).all():
        return Reason(f"the map has NaN or infinite values; they appear at or before layer '{path}'")
    if values.max(initial=0) > 0:
        return None
    if "gradients" in probe.__dict__ and not bool(probe.gradients[image].any()):
        live = find_layers(probe.reading.passed.ask.model, [])[0].path
        advice = f"--layer {live} has one" if live != path else "the model may be untrained, or saturated"
        return Reason(f"blank: the score has no gradient at layer '{path}'", advice)
    if values.min(initial=0) < 0:
        return Reason(f"blank: all evidence at layer '{path}' is against this target", "--sign both shows it")
    return Reason(f"blank: all values are zero at layer '{path}'")


def variation(values: Map) -> float:
    """Return the range of a raw map, its largest minus its smallest finite value."""
    finite = values[np.isfinite(values)]
    return float(finite.max() - finite.min()) if finite.size else 0.0


def variations(maps: Iterable[MethodMaps]) -> dict[Kind, list[float]]:
    """Return the variation of each map of a batch, by method, layer and part."""
    return {method_maps.kind: [variation(values) for values in method_maps.values] for method_maps in maps}


def why_weak(values: Map, noise: float) -> str:
    """Return why a map is weak: it varies no more than the map of the randomized model; "" if it varies more."""
    varies = variation(values)
    if varies > noise:
        return ""
    return f"weak: the map varies by {varies:.3g}, with randomized weights by {noise:.3g}"
