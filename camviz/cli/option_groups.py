"""Groups of options: a dataclass whose fields are options becomes parameters of a command, as Typer reads them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import MISSING, fields, make_dataclass
from typing import Annotated, Any, get_args, get_type_hints


def unset(group: type[Any]) -> type[Any]:
    """A group with the same options, none of them set unless it is given: what is not typed stays as it was."""
    hints = get_type_hints(group, include_extras=True)
    made = [(one.name, optional(hints[one.name]), None) for one in fields(group)]
    return make_dataclass(f"Unset{group.__name__}", made)


def optional(hint: Any) -> Any:
    """The option without its default: None unless it is given."""
    kind, option = get_args(hint)
    option = copy(option)
    option.show_default = False
    return Annotated[kind | None, option]


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take option groups: each parameter annotated with one is spread into its options."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if not (isinstance(hint, type) and hint.__name__.endswith("Options")):
            parameters.append(parameter.replace(annotation=hint))
            continue
        groups[parameter.name] = hint
        options = get_type_hints(hint, include_extras=True)
        for one in fields(hint):
            default = inspect.Parameter.empty if one.default is MISSING else one.default
            parameters.append(
                inspect.Parameter(
                    one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=options[one.name]
                )
            )

    def spread(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{one.name: values.pop(one.name) for one in fields(group)})
        command(**values)

    return with_signature(spread, command, parameters)


def with_signature(
    function: Callable[..., Any], like: Callable[..., Any], parameters: Sequence[inspect.Parameter]
) -> Callable[..., Any]:
    """The function under the name and docstring of `like`, with the parameters that Typer shall see, all by keyword."""
    named = functools.wraps(like)(function)
    del named.__wrapped__
    keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    named.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]  # inspect reads it, a type has it not
    named.__annotations__ = {one.name: one.annotation for one in keyword}
    return named
