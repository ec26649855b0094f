"""A module without values: its parameters on the meta device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def on_meta(module: nn.Module) -> Iterator[None]:
    """Within the block all parameters and buffers are on the meta device; shared ones stay shared."""
    stores: list[dict[str, Any]] = [s for part in module.modules() for s in (part._parameters, part._buffers)]
    before = [(store, name, tensor) for store in stores for name, tensor in store.items() if tensor is not None]
    replacements: dict[int, Any] = {}
    try:
        for store, name, tensor in before:
            store[name] = replacements.setdefault(id(tensor), tensor.to("meta"))
        yield
    finally:
        for store, name, tensor in before:
            store[name] = tensor
