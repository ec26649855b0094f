"""The registry of commands: a file in `camviz/cli/commands/` with a decorated function is a command."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from camviz.cli.option_groups import with_groups
from camviz.cli.typer_internals import Command

PACKAGE = "camviz.cli.commands"
SECTIONS = ("Explain", "Look inside", "Runs", "Lists")  # panels of `camviz --help`, in this order
_LAST = 100


@dataclass(frozen=True)
class CommandEntry:
    """A registered command: its function, the panel of `camviz --help` it is in, and lines to paste."""

    name: str
    call: Callable[..., int | None]
    section: str
    order: int
    examples: tuple[str, ...]
    cls: type[Command]


_ENTRIES: dict[str, CommandEntry] = {}


def command(
    *,
    section: str,
    examples: Sequence[str],
    order: int = _LAST,
    cls: type[Command] = Command,
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Register the decorated function as the command of its name.

    Parameters annotated with a dataclass whose name ends in `Options` are spread into the options of its fields; one
    annotated with `Console` is supplied. The function returns the exit status, or None for 0.
    `examples` end the command's help; they fit 80 columns, so that they can be copied. Raises `ValueError` for a name
    that is taken.
    """

    def register(function: Callable[..., int | None]) -> Callable[..., int | None]:
        name = function.__name__
        if name in _ENTRIES:
            raise ValueError(f"command '{name}' is registered twice")
        spread = with_groups(function)
        _ENTRIES[name] = CommandEntry(name, spread, section, order, tuple(examples), cls)
        return spread

    return register


def commands() -> list[CommandEntry]:
    """Return every command, by section, then by `order`, then by name. Imports all files of the folder."""
    for module in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__):
        importlib.import_module(f"{PACKAGE}.{module.name}")

    def place(entry: CommandEntry) -> tuple[Any, ...]:
        known = entry.section in SECTIONS
        return (SECTIONS.index(entry.section) if known else len(SECTIONS), entry.section, entry.order, entry.name)

    return sorted(_ENTRIES.values(), key=place)


def add_commands(app: typer.Typer) -> None:
    """Add every registered command to the application."""
    for entry in commands():
        shown = epilog(*entry.examples)
        app.command(entry.name, cls=entry.cls, epilog=shown, rich_help_panel=entry.section)(entry.call)


def epilog(*examples: str) -> str:
    """Return the end of a help text: command lines to paste, one per line."""
    return "\n".join(["Examples:", *(f"  {example}" for example in examples)])
