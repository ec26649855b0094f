"""Whole pickled models whose classes are stubs: their tensors and plain attributes, without running any of their code.

Only for libraries that can build the model again from these attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from camviz.models.checkpoint.reading import Stub

if TYPE_CHECKING:
    from camviz.models.checkpoint.dialects import State

_LIBRARIES = ("ultralytics",)
_KEYS = ("ema", "model")  # averaged weights before raw ones
_DEEPEST = 64  # modules within modules: a file could have a circle


def inert_module(content: Any) -> Stub | None:
    """Return the stub of a model that one of the libraries saved, None for other content."""
    held = [content.get(key) for key in _KEYS] if isinstance(content, Mapping) else [content]
    return next((value for value in held if isinstance(value, Stub) and library_of(value) in _LIBRARIES), None)


def library_of(stub: Stub) -> str:
    """Return the package of the class that a stub stands for."""
    return type(stub).__module__.partition(".")[0]


def tensors_of(module: Stub) -> State:
    """Return the parameters and persistent buffers of a stub of a module, by name."""
    return dict(_tensors(module, "", 0))


def _tensors(module: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    import torch

    attributes = vars(module) if isinstance(module, Stub) and depth < _DEEPEST else {}
    transient = attributes.get("_non_persistent_buffers_set") or ()
    for name, value in (*_items(attributes, "_parameters"), *_items(attributes, "_buffers")):
        if isinstance(value, torch.Tensor) and name not in transient:
            yield f"{prefix}{name}", value
    for name, child in _items(attributes, "_modules"):
        yield from _tensors(child, f"{prefix}{name}.", depth + 1)


def _items(attributes: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    value = attributes.get(name)
    return [(str(key), part) for key, part in value.items()] if isinstance(value, Mapping) else []


def settings_of(module: Stub) -> dict[str, Any]:
    """Return the arguments of training that the model carries."""
    held = getattr(module, "args", None)
    plain = (bool, int, float, str, list, tuple)
    items = held.items() if isinstance(held, dict) else ()
    return {str(key): value for key, value in items if isinstance(value, plain)}
