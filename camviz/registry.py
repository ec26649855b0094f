"""One kind of registry for methods, model sources, tasks and renderers."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from camviz.errors import RequestError, unknown

F = TypeVar("F", bound=Callable[..., Any])
G = TypeVar("G", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry(Generic[F]):
    """One registered function, with the facts given at its registration."""

    name: str
    call: F
    facts: dict[str, str]

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.call) or "").partition("\n")[0]

    @property
    def settings(self) -> dict[str, Any]:
        """The keyword settings of the function and their defaults."""
        parameters = inspect.signature(self.call).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


@dataclass(frozen=True, eq=False)
class Choice(Generic[F]):
    """An entry that somebody chose, with its settings. `optional`: it came only with a group."""

    entry: Entry[F]
    settings: dict[str, Any] = field(default_factory=dict)
    optional: bool = False

    @property
    def name(self) -> str:
        """The entry's name."""
        return self.entry.name


class Registry(Generic[F]):
    """Names to functions. `add` is a decorator; the folder `package` is imported at the first look."""

    def __init__(self, noun: str, package: str, listing: str = "") -> None:
        self.noun, self.package, self.listing = noun, package, listing
        self._entries: dict[str, Entry[F]] = {}
        self._scanned = False
        self._scanning = threading.RLock()  # the first look may come from two threads at once

    def add(self, name: str, **facts: str) -> Callable[[G], G]:
        """Register the decorated function as `name`; a name taken twice is an error."""

        def register(function: G) -> G:
            if name in self._entries:
                raise ValueError(f"{self.noun} '{name}' is registered twice")
            self._entries[name] = Entry(name, cast(F, function), facts)
            return function

        return register

    def find(self, name: str) -> Entry[F]:
        """The entry called `name`; raises `UnknownName` with the nearest names."""
        self._scan()
        if name not in self._entries:
            raise unknown(self.noun, name, self._entries, listing=self.listing)
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry[F]]:
        self._scan()
        return iter(list(self._entries.values()))

    def __contains__(self, name: str) -> bool:
        self._scan()
        return name in self._entries

    def names(self) -> list[str]:
        """All names in the order of registration."""
        return [entry.name for entry in self]

    def select(self, names: Iterable[str], groups: Mapping[str, Callable[[Entry[Any]], bool]]) -> dict[str, bool]:
        """The names that names and groups mean, and whether each came only with a group; raises `UnknownName`."""
        found: dict[str, bool] = {}
        for name in names:
            if name in groups:
                for entry in self:
                    if groups[name](entry):
                        found.setdefault(entry.name, True)
            elif name not in self:
                raise unknown(self.noun, name, [*self.names(), *groups], listing=self.listing)
            else:
                found[name] = False
        return found

    def typed(self, name: str, key: str, text: str, listing: str) -> tuple[str, Any]:
        """A setting of `name` (the last part of `key`) and its text as the type of its default."""
        known, setting = self.find(name).settings, key.rpartition(".")[2]
        if setting not in known:
            raise unknown("setting", setting, known, f"{self.noun} '{name}'", listing if known else "")
        try:
            return setting, type(known[setting])(text)
        except ValueError as error:
            kind = "a whole number" if isinstance(known[setting], int) else "a number"
            default = f"--set {name}.{setting}={known[setting]} is the default"
            raise RequestError(f"--set {key}={text}: {kind} is needed", default) from error

    def _scan(self) -> None:
        with self._scanning:
            if self._scanned:
                return
            self._scanned = True
            for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
                importlib.import_module(f"{self.package}.{module.name}")
