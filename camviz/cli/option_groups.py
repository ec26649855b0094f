"""Groups of options: a dataclass whose fields become the options of a command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import MISSING, fields, make_dataclass
from typing import Annotated, Any, get_args, get_type_hints

import typer

from camviz.cli.console import Console

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but errors on stderr.", rich_help_panel="Output")
]


def unset(group: type[Any]) -> type[Any]:
    """Return a group with the same options, None where they are not typed."""
    hints = get_type_hints(group, include_extras=True)
    made = [(option_field.name, optional(hints[option_field.name]), None) for option_field in fields(group)]
    return make_dataclass(f"Unset{group.__name__}", made)


def optional(hint: Any) -> Any:
    """Return an option without its default: None unless it is typed."""
    kind, option = get_args(hint)
    option = copy(option)
    option.show_default = False
    return Annotated[kind | None, option]


def with_groups(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Return a command with flat options: a parameter annotated with a group becomes the options of its fields.

    A parameter annotated with `Console` is supplied: it prints results on stdout while all other output goes to
    stderr, and obeys --quiet, which is added where no group has it.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    console = ""
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if hint is Console:
            console = parameter.name
        elif isinstance(hint, type) and hint.__name__.endswith("Options"):
            groups[parameter.name] = hint
            parameters += _options(hint)
        else:
            parameters.append(parameter.replace(annotation=hint))
    adds_quiet = bool(console) and all(parameter.name != "quiet" for parameter in parameters)
    if adds_quiet:
        parameters.append(inspect.Parameter("quiet", _KEYWORD, default=False, annotation=Quiet))

    def spread(**values: Any) -> int | None:
        quiet = values.pop("quiet") if adds_quiet else values.get("quiet", False)
        for name, group in groups.items():
            values[name] = group(**{option.name: values.pop(option.name) for option in fields(group)})
        if not console:
            return command(**values)
        values[console] = Console(quiet)
        with values[console].only_results():
            return command(**values)

    return with_signature(spread, command, parameters)


def _options(group: type[Any]) -> list[inspect.Parameter]:
    """The fields of a group as parameters of a function."""
    hints = get_type_hints(group, include_extras=True)
    empty = inspect.Parameter.empty
    return [
        inspect.Parameter(
            field.name,
            _KEYWORD,
            default=empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


def with_signature(
    function: Callable[..., Any], like: Callable[..., Any], parameters: Sequence[inspect.Parameter]
) -> Callable[..., Any]:
    """Return the function with the name and docstring of `like` and with these parameters, all keyword-only."""
    named = functools.wraps(like)(function)
    del named.__wrapped__
    keyword = [parameter.replace(kind=_KEYWORD) for parameter in parameters]
    named.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]  # inspect reads it, a type has it not
    named.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword}
    return named
