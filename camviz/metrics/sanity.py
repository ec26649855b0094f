"""Sanity: does the map depend on what the network has learned?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from camviz.metrics import METRICS
from camviz.metrics.case import Case
from camviz.types import Map

if TYPE_CHECKING:
    import torch
    from torch import nn

STAGES = 4


@partial(METRICS.add, family="sanity", needs="new maps")("sanity", paper="arXiv:1810.03292", better="lower")
def sanity(case: Case) -> NDArray[np.float64]:
    """Rank correlation of the map with the map of a network whose weights are shuffled: the mean over a cascade.

    Adebayo et al. 2018, sec. 3.1: weights are lost from the top down, a quarter of the layers more in each of four
    stages.
    Spearman's, over the cells that the map has. A map that stays the same does not explain this network.
    """
    found = case.shuffled()
    return np.array([
        np.mean([spearman(values, maps[k]) for maps in found]) for k, values in enumerate(case.maps)
    ])  # fmt: skip


def spearman(a: Map, b: Map) -> float:
    """Spearman's rank correlation, equal values sharing their mean rank; 0 where one of the maps is constant."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 0.0
    first, second = (_ranks(values.ravel()) - (values.size - 1) / 2 for values in (a, b))
    length = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / length) if length > 0 else 0.0


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Places from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    after = np.cumsum(counts)
    return np.asarray((after - (counts + 1) / 2)[inverse])


def cascade(module: nn.Module, order: Sequence[str], stages: int = STAGES, seed: int = 0) -> list[nn.Module]:
    """Copies of a network with ever more of its layers shuffled, from the top; `order` are their paths as they run.

    Each tensor of weights keeps its values, in another order. What is not shuffled is shared with the network, which
    itself stays as it is.
    """
    import copy

    import torch

    layers = by_layer(module, order)
    generator = torch.Generator().manual_seed(seed)
    shuffled: dict[int, nn.Parameter] = {}
    copies = []
    for stage in range(1, stages + 1):
        for parameters in layers[: round(len(layers) * stage / stages)]:
            for parameter in parameters:
                if id(parameter) not in shuffled:
                    shuffled[id(parameter)] = _shuffled(parameter, generator)
        kept = {id(parameter): shuffled.get(id(parameter), parameter) for parameter in module.parameters()}
        copies.append(copy.deepcopy(module, dict(kept)))
    return copies


def by_layer(module: nn.Module, order: Sequence[str]) -> list[list[nn.Parameter]]:
    """All parameters by the layer that they belong to, the top layer first.

    Those of a part that never runs by itself belong to what holds it; those of nothing that runs come last.
    """
    layers: dict[str, list[nn.Parameter]] = {path: [] for path in [*reversed(dict.fromkeys(order)), ""]}
    for path, part in module.named_modules():
        holder = path
        while holder not in layers:
            holder = holder.rpartition(".")[0]
        layers[holder] += part.parameters(recurse=False)
    return [parameters for parameters in layers.values() if parameters]


def _shuffled(parameter: nn.Parameter, generator: torch.Generator) -> nn.Parameter:
    import torch

    order = torch.randperm(parameter.numel(), generator=generator)
    values = parameter.detach().flatten()[order.to(parameter.device)].reshape(parameter.shape)
    return torch.nn.Parameter(values, parameter.requires_grad)
