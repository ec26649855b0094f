"""What a model is without what it has learned: the same weights, each tensor's values in another order."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from camviz.models.survey import survey
from camviz.types import Model


def shuffled(model: Model, seed: int = 0) -> Model:
    """The model with all of its weights shuffled: a twin that has forgotten everything."""
    return twins(model, 1, seed)[0]


def twins(model: Model, stages: int, seed: int = 0) -> list[Model]:
    """The model in so many stages of forgetting, weights shuffled from the top down; the last has lost everything."""
    seen = survey(model.module, model.preprocessing.crop, model.name)
    copies = cascade(model.module, [one.path for one in seen.layers], stages, seed)
    return [replace(model, module=one.eval()) for one in copies]


def cascade(module: nn.Module, order: Sequence[str], stages: int, seed: int = 0) -> list[nn.Module]:
    """Copies of a model with ever more of its layers shuffled, from the top; `order` are their paths as they run.

    Each tensor of weights keeps its values, in another order. What is not shuffled is shared with the model, which
    itself stays as it is.
    """
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
    order = torch.randperm(parameter.numel(), generator=generator)
    values = parameter.detach().flatten()[order.to(parameter.device)].reshape(parameter.shape)
    return nn.Parameter(values, parameter.requires_grad)
