"""How strong a map of noise is: the same picture and target, the same network with its weights shuffled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from camviz.engine.forward import run_forward
from camviz.engine.probe import Reading
from camviz.metrics.sanity import cascade
from camviz.types import Map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camviz.engine.explain import Explainer, Found
    from camviz.types import Model, Target

Kind = tuple[str, str, int]


def shuffled(model: Model, order: Sequence[str], seed: int = 0) -> Model:
    """The model with the values of each of its weights in another order; `order` are its layers' paths as they run."""
    [module] = cascade(model.module, order, 1, seed)
    return replace(model, module=module.eval())


def spread(values: Map) -> float:
    """By how much a raw map varies over the picture: what is the same everywhere says nothing of where."""
    finite = values[np.isfinite(values)]
    return float(finite.max() - finite.min()) if finite.size else 0.0


def spreads(twin: Explainer, batch: Tensor, targets: Sequence[Target]) -> dict[Kind, list[float]]:
    """How much the maps of a twin's network vary for a batch and its targets; by method, layer and part."""
    found: dict[Kind, list[float]] = {}
    with twin.task.attending(twin.model.module, (batch.shape[2], batch.shape[3])):
        for one in twin.read(Reading(run_forward(twin.ask, batch), list(targets))):
            found[kind_of(one)] = [spread(values) for values in one.values]
    return found


def kind_of(found: Found) -> Kind:
    """Method, layer, part."""
    return found.method, found.layer, int(found.facts[0].get("part", 0)) if found.facts else 0


def why_weak(values: Map, noise: float) -> str:
    """What to say of a map that varies no more than one of noise; "" for one that does."""
    own = spread(values)
    if own > noise:
        return ""
    return f"weak: it varies by {own:.3g} over the picture, with shuffled weights by {noise:.3g}"
