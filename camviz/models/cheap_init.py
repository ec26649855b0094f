"""Building a module without memory for its parameters, or without initializing them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _ParametersOnMeta(TorchFunctionMode):
    """Create parameters on the meta device.

    Unlike `torch.device("meta")` it leaves arange, linspace and similar functions on the CPU: constructors compute
    with their values.
    """

    _makers = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.randn, torch.rand})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in self._makers and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Within the block new modules get parameters on the meta device, without memory."""
    with _ParametersOnMeta():
        yield


class _NoInitialization(TorchFunctionMode):
    _fillers = frozenset({Tensor.normal_, Tensor.uniform_, Tensor.erfinv_})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in self._fillers else func(*args, **(kwargs or {}))


@contextmanager
def without_initialization() -> Iterator[None]:
    """Within the block parameters are not initialized: for models whose weights are loaded right after."""
    with _NoInitialization():
        yield
