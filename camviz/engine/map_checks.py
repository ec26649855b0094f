"""Checks of raw maps: why a map is blank, and how much it varies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from camviz.models.layers import find_layers
from camviz.types import Map

if TYPE_CHECKING:
    from camviz.engine.probe import Probe


@dataclass(frozen=True, eq=False)
class MethodMaps:
    """The maps of one method at one layer for a batch: values (n, h, w), and the facts and facets of each image."""

    method: str
    layer: str
    values: NDArray[np.float32]
    facts: list[dict[str, Any]]
    facets: tuple[str, ...]
    cells: tuple[float, float, float, float] | None = None  # what its cells tile, in fractions of the input, if known


class Reason(NamedTuple):
    """Why a map is blank, and what to do about it."""

    cause: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.cause}; {self.advice}" if self.advice else self.cause


def why_blank(values: Map, probe: Probe, image: int, specific: bool = True) -> Reason | None:
    """Return why a map (h, w) is blank under --sign positive; None if it has a positive value.

    `specific`: the map is of a class-specific method.
    """
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
        what = "evidence at layer '{}' is against this target" if specific else "values at layer '{}' are negative"
        return Reason(f"blank: all {what.format(path)}", "--sign both shows it")
    return Reason(f"blank: all values are zero at layer '{path}'")


def variation(values: Map) -> float:
    """Return the range of a raw map, its largest minus its smallest finite value."""
    finite = values[np.isfinite(values)]
    return float(finite.max() - finite.min()) if finite.size else 0.0
