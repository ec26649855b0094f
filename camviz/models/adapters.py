"""Call a module with other arguments than a batch of images, and read its output, through two hooks.

Hooks leave the module's class, paths and parameters as they are, so everything that captures layers works unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn


def adapt(
    module: nn.Module,
    inputs: Callable[[Tensor], Any] | None = None,
    outputs: Callable[[Any], Any] | None = None,
) -> nn.Module:
    """Return `module`, which then takes a batch (n, c, h, w) and returns what `outputs` makes of its result.

    `inputs(batch)` returns the arguments of forward: a tuple (positional), a dict (keywords), or a single value.
    `outputs(raw)` returns logits, a dict of boxes, scores and labels, or masks.
    """
    if inputs is not None:

        def before(
            _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            arguments = inputs(*args, **kwargs)
            if isinstance(arguments, Mapping):
                return (), dict(arguments)
            return (arguments if isinstance(arguments, tuple) else (arguments,)), {}

        module.register_forward_pre_hook(before, with_kwargs=True)
    if outputs is not None:
        module.register_forward_hook(lambda _, args, raw: outputs(raw))
    return module
