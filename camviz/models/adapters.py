"""Call a module with other arguments than a batch of images, and read its output, through two hooks.

Hooks leave the module's class, paths and parameters as they are, so everything that captures layers works unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

_HANDLES = "_camviz_adapters"


def adapt(
    module: nn.Module,
    inputs: Callable[[Tensor], Any] | None = None,
    outputs: Callable[[Any], Any] | None = None,
) -> nn.Module:
    """Return `module`, which then takes a batch (n, c, h, w) and returns what `outputs` makes of its result.

    `inputs(batch)` returns the arguments of forward: a tuple (positional), a dict (keywords), or a single value.
    `outputs(raw)` returns logits, a dict of boxes, scores and labels, or masks.
    Without both, an earlier call is undone.
    """
    for handle in module.__dict__.pop(_HANDLES, ()):  # of an earlier call
        handle.remove()
    handles = []
    if inputs is not None:

        def before(
            _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            arguments = inputs(*args, **kwargs)
            if isinstance(arguments, Mapping):
                return (), dict(arguments)
            return (arguments if isinstance(arguments, tuple) else (arguments,)), {}

        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
    if outputs is not None:
        handles.append(module.register_forward_hook(lambda _, args, raw: outputs(raw)))
    if handles:
        module.__dict__[_HANDLES] = handles
    return module
