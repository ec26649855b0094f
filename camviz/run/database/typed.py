"""Dataclasses from the JSON values of a run database, whose types are checked: it may be damaged or made by anybody."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {member.name: hints[member.name] for member in fields(kind)}


def typed(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a dataclass; lists become tuples where it has tuples, unknown names are ignored.

    Raises `ValueError` that quotes a value of another type.
    """
    return kind(**typed_values(kind, values))


def typed_values(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that are fields of a dataclass, as `typed` does."""
    return {name: _value(hint, values[name], name) for name, hint in _hints(kind).items() if name in values}


def _value(hint: Any, value: Any, name: str) -> Any:
    kind, options = get_origin(hint), get_args(hint)
    if hint is Any or (kind is Literal and value in options) or (hint is type(None) and value is None):
        return value
    if kind in (Union, types.UnionType):
        for option in options:
            try:
                return _value(option, value, name)
            except ValueError:
                continue
    elif is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return typed(hint, value)
    elif kind in (tuple, list) and isinstance(value, (tuple, list)):
        kinds = [options[0]] * len(value) if options[-1] is ... or kind is list else list(options)
        if len(kinds) == len(value):
            return kind(_value(item_kind, each, name) for item_kind, each in zip(kinds, value, strict=True))
    elif kind is dict and isinstance(value, Mapping):
        return {_value(options[0], key, name): _value(options[1], each, name) for key, each in value.items()}
    elif hint is float and type(value) is int:
        return float(value)
    elif isinstance(hint, type) and isinstance(value, hint) and (type(value) is not bool or hint is bool):
        return value
    raise ValueError(f"'{name}' is {value!r:.80}")
