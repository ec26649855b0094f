"""Methods: each is one decorated function from a probe to raw maps (n, h, w). Formulas as in the papers named."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from camviz.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Method = Callable[..., "Tensor"]
METHODS: Registry[Method] = Registry("method", __name__, listing="'camviz methods'")
