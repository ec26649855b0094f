"""A module without values: its parameters on the meta device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from camviz.hooks.operations import tensors_in

_MISSING = object()


@contextmanager
def on_meta(module: nn.Module) -> Iterator[None]:
    """Within the block all parameters and buffers are on the meta device; shared ones stay shared.

    Where a forward cached tensors in attributes of a module, such as anchors, these are those from before afterwards.
    """
    attributes = [(part, dict(part.__dict__)) for part in module.modules()]
    stores: list[dict[str, Any]] = [s for part in module.modules() for s in (part._parameters, part._buffers)]
    before = [(store, name, tensor) for store in stores for name, tensor in store.items() if tensor is not None]
    replacements: dict[int, Any] = {}
    try:
        for store, name, tensor in before:
            store[name] = replacements.setdefault(id(tensor), tensor.to("meta"))
        yield
    finally:
        for part, values in attributes:
            _restore(part, values)
        for store, name, tensor in before:
            store[name] = tensor


def _restore(part: nn.Module, values: dict[str, Any]) -> None:
    """Set the attributes of a module back, if the block left tensors without values in one of them."""
    changed = {name for name, value in vars(part).items() if values.get(name, _MISSING) is not value}
    if not any(tensor.is_meta for name in changed for tensor in tensors_in(vars(part)[name])):
        return
    for name in changed:
        if name in values:
            part.__dict__[name] = values[name]
        else:
            del part.__dict__[name]
