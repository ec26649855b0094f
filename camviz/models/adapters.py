"""Call a module with other arguments than a batch of images, and read its output, through two hooks.

Hooks leave the module's class, paths and parameters as they are, so everything that captures layers works unchanged.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from camviz.errors import InputError

_ADAPTER = "_camviz_adapter"


@dataclass(eq=False)
class Adapter:
    """What the hooks of a module do; copies of the module share it.

    `inputs(batch)` returns the arguments of forward: a tuple (positional), a dict (keywords), or a single value.
    `outputs(raw)` returns logits, a dict of boxes, scores and labels, or masks. `values` are further arguments by
    name: tensors (n, …) or (1, …), which are repeated for the rows of a batch, or other values, passed as they are.
    Those named in `pixels` are resized to the batch, and 0 while they have no value.
    """

    inputs: Callable[..., Any] | None = None
    outputs: Callable[[Any], Any] | None = None
    values: dict[str, Any] = field(default_factory=dict)
    pixels: frozenset[str] = frozenset()
    extra: Sequence[Any] = ()  # where values come from, see `models.extra_inputs`
    handles: list[Any] = field(default_factory=list)

    def __deepcopy__(self, _memo: object) -> Adapter:
        return self

    def arguments(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the arguments of forward for those that the module was called with, the batch first."""
        batch = next((item for item in (*args, *kwargs.values()) if isinstance(item, Tensor)), None)
        values = {name: self._rows(name, batch) for name in self.values} if batch is not None else {}
        if self.inputs is not None:
            known = inspect.signature(self.inputs).parameters
            taken = {name: values.pop(name) for name in list(values) if name in known}
            arguments = self.inputs(*args, **kwargs, **taken)
            if isinstance(arguments, Mapping):
                return (), {**arguments, **values}
            return (arguments if isinstance(arguments, tuple) else (arguments,)), values
        names = [name for name in positional(module) if name not in values]
        if len(names) < len(args):
            return args, {**kwargs, **values}
        return (), {**dict(zip(names, args, strict=False)), **kwargs, **values}

    def _rows(self, name: str, batch: Tensor) -> Any:
        """Return the value of an argument for the rows of a batch."""
        value = self.values[name]
        if not isinstance(value, Tensor):
            return torch.zeros_like(batch) if name in self.pixels else value
        value = value.to(batch.device, batch.dtype if value.is_floating_point() else value.dtype)
        if name in self.pixels and value.shape[2:] != batch.shape[2:]:
            value = nn.functional.interpolate(value, batch.shape[2:], mode="bilinear", align_corners=False)
        if len(value) not in (1, len(batch)):
            raise InputError(
                f"input '{name}' has values for {len(value)} images, the batch {len(batch)} images", "--batch-size 1"
            )
        return value.expand(len(batch), *value.shape[1:])


def positional(module: nn.Module) -> list[str]:
    """Return the names of the positional arguments of a module's forward; none where they are not known."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # a module of compiled code
        return []
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    return [parameter.name for parameter in parameters if parameter.kind in kinds]


def adapter_of(module: nn.Module) -> Adapter:
    """Return the adapter of a module; one that does nothing where it has none."""
    adapter = module.__dict__.get(_ADAPTER)
    return adapter if isinstance(adapter, Adapter) else Adapter()


def adapt(module: nn.Module, **parts: Any) -> Adapter:
    """Set fields of a module's `Adapter`, the others stay; return it."""
    adapter = adapter_of(module)
    for name, value in parts.items():
        setattr(adapter, name, value)
    if _ADAPTER not in module.__dict__:
        module.__dict__[_ADAPTER] = adapter
        adapter.handles = [
            module.register_forward_pre_hook(adapter.arguments, with_kwargs=True),
            module.register_forward_hook(_read),
        ]
    return adapter


def reset(module: nn.Module) -> None:
    """Undo every earlier `adapt`."""
    adapter = module.__dict__.pop(_ADAPTER, None)
    for handle in adapter.handles if adapter else ():
        handle.remove()


def _read(module: nn.Module, _args: Any, raw: Any) -> Any:
    outputs = adapter_of(module).outputs
    return raw if outputs is None else outputs(raw)
