"""A parameter annotated with a group of options becomes the options of its fields."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, get_args

import typer

from camviz.cli.console import Console
from camviz.cli.option_groups import optional, unset, with_groups

Width = Annotated[int, typer.Option("--width", help="Pixels.")]


@dataclass
class SizeOptions:
    """Two options with defaults."""

    width: Width = 3
    height: Annotated[int, typer.Option("--height")] = 4


def area(name: str, size: SizeOptions) -> int:
    """Multiply."""
    return size.width * size.height


def test_the_fields_of_a_group_are_parameters():
    command = with_groups(area)
    parameters = inspect.signature(command).parameters
    assert list(parameters) == ["name", "width", "height"]
    assert [parameter.kind for parameter in parameters.values()] == [inspect.Parameter.KEYWORD_ONLY] * 3
    assert (parameters["width"].default, parameters["width"].annotation) == (3, Width)
    assert (command.__name__, command.__doc__) == ("area", "Multiply.")
    assert command(name="a", width=5, height=2) == 10


def test_a_console_is_supplied_and_obeys_quiet():
    def talk(console: Console) -> int:
        return int(console.quiet)

    talk.__annotations__["console"] = Console
    command = with_groups(talk)
    assert list(inspect.signature(command).parameters) == ["quiet"]
    assert (command(quiet=True), command(quiet=False)) == (1, 0)


def test_unset_options_are_none():
    group = unset(SizeOptions)
    assert vars(group()) == {"width": None, "height": None}
    assert vars(group(height=7)) == {"width": None, "height": 7}


def test_an_optional_option_is_another_object_without_a_default():
    kind, option = get_args(optional(Width))
    assert kind == int | None
    assert option.show_default is False
    assert get_args(Width)[1].show_default is True
