"""Where networks come from, one source per file. To add one, write a decorated function in a new file here.

A source takes (name, request) and returns a `Plan` without importing torch: whatever can be refused is refused
before anything is built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from camviz.registry import Registry
from camviz.types import Model, ModelRequest


@dataclass(frozen=True)
class Plan:
    """A network that can be built. `labels` and `task` are known beforehand as far as they are given.

    `skeleton` builds it with parameters on the meta device, for listing layers; None where that is not possible.
    """

    name: str
    build: Callable[[], Model]
    labels: tuple[str, ...] = ()
    skeleton: Callable[[], Model] | None = None
    task: str = ""


Source = Callable[[str, ModelRequest], Plan]
SOURCES: Registry[Source] = Registry("model source", __name__)
