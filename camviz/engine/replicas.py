"""Replicas of a model that share its weights, for running several forwards side by side."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from torch import nn

from camviz.types import Model

_SMALL = 50_000_000  # parameters at 224×224; with more, one model on all cores is as fast and needs less memory


def small(model: Model) -> bool:
    """Return whether a forward is so cheap that several in parallel, one thread each, are faster."""
    height, width = model.preprocessing.crop
    parameters = sum(parameter.numel() for parameter in model.module.parameters())
    return parameters * (height * width) / 224**2 <= _SMALL


def sibling(model: Model) -> Model | None:
    """Return a replica of the model with the same parameters; None where a copy might not be independent."""
    if any(_entangled(submodule) for submodule in model.module.modules()):
        return None
    model.module.requires_grad_(False)  # or each would restore requires_grad of the other's at the end of its pass
    shared: dict[int, Any] = {id(parameter): parameter for parameter in model.module.parameters()}
    try:
        return replace(model, module=copy.deepcopy(model.module, shared))
    except Exception:  # a module that cannot be copied
        return None


def _entangled(submodule: nn.Module) -> bool:
    """Return whether a module holds hooks or functions, which a copy would share with the original."""
    values = [value for name, value in vars(submodule).items() if not name.startswith("_")]
    if submodule._forward_hooks or submodule._forward_pre_hooks:
        return True
    return any(isinstance(value, (FunctionType, MethodType, partial)) for value in values)
