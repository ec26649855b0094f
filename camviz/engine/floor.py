"""How strong a map of noise is: the same picture and target, the same network with its weights shuffled."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from camviz.engine.found import Found, Kind
from camviz.types import Map


def variation(values: Map) -> float:
    """By how much a raw map varies over the picture: what is the same everywhere says nothing of where."""
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
    return f"weak: it varies by {own:.3g} over the picture, with shuffled weights by {noise:.3g}"
