"""Where models come from, one source per file. To add one, write a decorated function in a new file here.

A source takes (name, request) and returns a `Plan` without importing torch: whatever can be refused is refused
before anything is built. A listing beside it, if there is one, says what it offers.

A source that never runs code of its files is registered with `runs_code="no"`. The others build a model only where the
user names it: a run database may come from anybody.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from camviz.errors import RequestError, UnknownName, fold
from camviz.registry import Registry
from camviz.types import Model, ModelRequest


@dataclass(frozen=True)
class Plan:
    """A model that can be built. `labels` and `task` are known beforehand as far as they are given.

    `skeleton` builds it with parameters on the meta device, for listing layers; None where that is not possible.
    """

    name: str
    build: Callable[[], Model]
    labels: tuple[str, ...] = ()
    skeleton: Callable[[], Model] | None = None
    task: str = ""


@dataclass(frozen=True)
class Offer:
    """One model that `camviz models` lists: as --model takes it, and its weights by the names --weights takes."""

    name: str
    task: str = "classification"
    weights: tuple[str, ...] = ()
    default: str = ""
    cached: tuple[str, ...] = ()  # those that are on this machine


Source = Callable[[str, ModelRequest], Plan]
Listing = Callable[[], Iterable[Offer]]
SOURCES: Registry[Source] = Registry("model source", __name__)
LISTINGS: Registry[Listing] = Registry("listing of models", __name__)


def installed(package: str) -> bool:
    """Whether the package can be imported; it is not."""
    return importlib.util.find_spec(package) is not None


def untrained(request: ModelRequest) -> bool:
    """Return whether the weights are to stay as they are initialized: --weights none or random, in any spelling."""
    return fold(request.weights) in ("none", "random")


def check_weights(request: ModelRequest, name: str, hint: str = "--weights FILE, a file that exists") -> None:
    """Raise `UnknownName` for weights by a name, where there are none but "default" and "none"."""
    if request.weights not in ("default", "none"):
        raise UnknownName(f"no weights '{request.weights}' for {name}", hint)


def need(package: str, extra: str, spec: str) -> None:
    """Refuse a model whose library is not installed."""
    if not installed(package):
        raise RequestError(f"'{spec}' needs {package}, which is not installed", f"pip install 'camviz[{extra}]'")


def literal(text: str) -> Any:
    """Return the value of a --model-args: a Python literal, else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
