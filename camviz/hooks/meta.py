"""A module without values: its parameters on the meta device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def on_meta(module: nn.Module) -> Iterator[None]:
    """Within the block all parameters and buffers are on the meta device; shared ones stay shared.

    Attributes that a forward sets, such as cached anchors, are those from before the block again afterwards.
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
            part.__dict__.clear()
            part.__dict__.update(values)
        for store, name, tensor in before:
            store[name] = tensor
