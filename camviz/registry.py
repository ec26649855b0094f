"""The registry of methods, metrics, model sources, tasks and renderers."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from camviz.errors import RequestError, match, unknown

F = TypeVar("F", bound=Callable[..., Any])
G = TypeVar("G", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry(Generic[F]):
    """A registered function with the facts of its registration."""

    name: str
    call: F
    facts: dict[str, str]

    @property
    def summary(self) -> str:
        """Return the first line of the function's docstring."""
        return (inspect.getdoc(self.call) or "").partition("\n")[0]

    @property
    def settings(self) -> dict[str, Any]:
        """Return the keyword settings of the function and their defaults."""
        parameters = inspect.signature(self.call).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


@dataclass(frozen=True, eq=False)
class Choice(Generic[F]):
    """A selected entry with its settings. `optional`: it was selected only by a group."""

    entry: Entry[F]
    settings: dict[str, Any] = field(default_factory=dict)
    optional: bool = False

    @property
    def name(self) -> str:
        """Return the entry's name."""
        return self.entry.name


class Registry(Generic[F]):
    """Functions by name. `add` is a decorator; the modules of `package` are imported at the first look-up.

    Names are looked up in any case, with hyphens, underscores or neither, and by their aliases.
    """

    def __init__(self, noun: str, package: str, listing: str = "") -> None:
        self.noun, self.package, self.listing = noun, package, listing
        self._entries: dict[str, Entry[F]] = {}
        self._aliases: dict[str, str] = {}
        self._scanned = False
        self._scanning = threading.RLock()  # two threads may look up first at the same time

    def add(self, name: str, aliases: Sequence[str] = (), **facts: str) -> Callable[[G], G]:
        """Register the decorated function as `name`, also found by `aliases`.

        Raises `ValueError` for a name that is registered already.
        """

        def register(function: G) -> G:
            if name in self._entries:
                raise ValueError(f"{self.noun} '{name}' is registered twice")
            self._entries[name] = Entry(name, cast(F, function), facts)
            self._aliases.update(dict.fromkeys(aliases, name))
            return function

        return register

    def match(self, name: str, groups: Iterable[str] = ()) -> str | None:
        """Return the registered name, or the group, that `name` means; None if there is none."""
        return match(self.noun, name, [*self.names(), *groups], self.aliases())

    def find(self, name: str) -> Entry[F]:
        """Return the entry called `name`. Raises `UnknownName` with the closest names."""
        matching = self.match(name)
        if matching is None:
            raise unknown(self.noun, name, self._entries, listing=self.listing)
        return self._entries[matching]

    def __iter__(self) -> Iterator[Entry[F]]:
        self._scan()
        return iter(list(self._entries.values()))

    def __contains__(self, name: str) -> bool:
        return self.match(name) is not None

    def aliases(self) -> Mapping[str, str]:
        """Return the registered name of each alias."""
        self._scan()
        return self._aliases

    def names(self) -> list[str]:
        """Return all names in the order of registration."""
        return [entry.name for entry in self]

    def select(self, names: Iterable[str], groups: Mapping[str, Callable[[Entry[Any]], bool]]) -> dict[str, bool]:
        """Return the entries that names and groups select, each with whether it came only with a group.

        Raises `UnknownName` with the closest names.
        """
        selected: dict[str, bool] = {}
        for name in names:
            matching = self.match(name, groups)
            if matching is None:
                raise unknown(self.noun, name, [*self.names(), *groups], listing=self.listing)
            if matching in groups:
                for entry in self:
                    if groups[matching](entry):
                        selected.setdefault(entry.name, True)
            else:
                selected[matching] = False
        return selected

    def typed(self, name: str, key: str, text: str, listing: str) -> tuple[str, Any]:
        """Return a setting of `name` (the last part of `key`) with its text converted to the type of its default."""
        known, typed = self.find(name).settings, key.rpartition(".")[2]
        setting = match("setting", typed, known)
        if setting is None:
            raise unknown("setting", typed, known, f"{self.noun} '{name}'", listing if known else "")
        try:
            return setting, type(known[setting])(text)
        except ValueError as error:
            kind = "an integer" if isinstance(known[setting], int) else "a number"
            default = f"--set {name}.{setting}={known[setting]} is the default"
            raise RequestError(f"--set {key}={text} is not {kind}", default) from error

    def _scan(self) -> None:
        with self._scanning:
            if self._scanned:
                return
            self._scanned = True
            for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
                importlib.import_module(f"{self.package}.{module.name}")
