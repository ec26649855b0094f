"""What `--help` shows beside words: examples at its end, and for a value what is typed, not its type in Python."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

from typer.core import TyperCommand

_WIDTH = 20  # of a list of choices: more goes on, on the next line
_VALUES = {int: "N", float: "NUMBER", Path: "PATH"}


class Command(TyperCommand):
    """A command whose help names values for people."""

    def get_params(self, ctx: Any) -> list[Any]:
        return [for_people(one) for one in super().get_params(ctx)]


def for_people(parameter: Any) -> Any:
    """The parameter, which from now on is shown by what is to be typed."""
    parameter.display_type_rich = partial(_value, parameter)
    return parameter


def _value(parameter: Any, ctx: Any) -> str:
    """What stands for the value: its own word, the choices, N, or the name of the option; "" where none is typed."""
    kind = parameter.type_descriptor
    if parameter.param_type_name == "argument" or getattr(parameter, "is_flag", False):
        return ""
    if parameter.metavar is not None:
        return str(parameter.metavar)
    if kind.is_choice:
        return "\n".join(wrap("|".join(map(str, kind.choices)).replace("|", "| "), _WIDTH)).replace("| ", "|")
    return _VALUES.get(kind.annotation) or str(max(parameter.opts, key=len).rpartition("-")[2].upper())


def epilog(*examples: str) -> str:
    """The end of a help text: what can be typed, a line each."""
    return "\n".join(["Examples:", *(f"  {one}" for one in examples)])
