"""Why a map shows nothing: found while the evidence is still there, told beside the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from camviz.models.layers import find_layers
from camviz.types import Map

if TYPE_CHECKING:
    from camviz.engine.probe import Probe


class Reason(NamedTuple):
    """What was seen, and what to do about it."""

    seen: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.seen}; {self.advice}" if self.advice else self.seen


def why_blank(values: Map, probe: Probe, picture: int) -> Reason | None:
    """The reason for a map (h, w) that shows nothing under --sign positive; None for one that shows something."""
    path = probe.layer.path
    if not np.isfinite(values).all():
        return Reason(f"the map has NaN or infinite values; they arise at or before layer '{path}'")
    if values.max(initial=0) > 0:
        return None
    if "gradients" in probe.__dict__ and not bool(probe.gradients[picture].any()):
        live = find_layers(probe.reading.passed.ask.model, [])[0].path
        advice = f"--layer {live} has one" if live != path else "is the network untrained, or saturated?"
        return Reason(f"blank: the score has no gradient at layer '{path}'", advice)
    if values.min(initial=0) < 0:
        return Reason(f"blank: all evidence at layer '{path}' speaks against this class", "--sign both shows it")
    return Reason(f"blank: all values are zero at layer '{path}'")
