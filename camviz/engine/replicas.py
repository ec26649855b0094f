"""The same model several times, side by side: what each runs is its own, the weights are shared."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from torch import nn

from camviz.types import Model

_SMALL = 50_000_000  # parameters at 224×224: beyond, one model on all cores is as fast, and needs less memory


def small(model: Model) -> bool:
    """Whether one thread does a forward in so little time that several side by side are the faster way."""
    height, width = model.preprocessing.crop
    parameters = sum(parameter.numel() for parameter in model.module.parameters())
    return parameters * (height * width) / 224**2 <= _SMALL


def sibling(model: Model) -> Model | None:
    """The model once more, with the same parameters; None where a copy might not be independent."""
    if any(_entangled(part) for part in model.module.modules()):
        return None
    model.module.requires_grad_(False)  # or each would thaw the other's at the end of its pass
    shared: dict[int, Any] = {id(parameter): parameter for parameter in model.module.parameters()}
    try:
        return replace(model, module=copy.deepcopy(model.module, shared))
    except Exception:  # somebody's module that cannot be copied
        return None


def _entangled(part: nn.Module) -> bool:
    """Whether a module holds functions, which a copy would share: they may lead back to the original."""
    held = [value for name, value in vars(part).items() if not name.startswith("_")]
    if part._forward_hooks or part._forward_pre_hooks:
        return True
    return any(isinstance(value, (FunctionType, MethodType, partial)) for value in held)
