"""A decorated function is a command of its name, sorted into the sections of the help."""

from __future__ import annotations

import pytest

from camviz.cli import registry
from camviz.cli.registry import SECTIONS, command, commands, epilog


@pytest.fixture
def alone(monkeypatch):
    """A registry without the commands of camviz."""
    monkeypatch.setattr(registry, "_ENTRIES", {})
    monkeypatch.setattr(registry.pkgutil, "iter_modules", lambda _path: [])


def make(name: str, **facts: object) -> None:
    def function() -> None:
        """Do nothing."""

    function.__name__ = name
    command(**{"section": "Lists", "examples": ()} | facts)(function)


def test_by_section_then_by_order_then_by_name(alone):
    make("zebra", section="Others")
    make("b")
    make("a")
    make("above_last", section="Explain", order=2)
    make("first", section="Explain", order=1)
    assert [entry.name for entry in commands()] == ["first", "above_last", "a", "b", "zebra"]


def test_a_name_is_registered_once(alone):
    make("a")
    with pytest.raises(ValueError, match="'a' is registered twice"):
        make("a")


def test_every_command_of_camviz_is_in_a_section_of_the_help():
    assert {entry.section for entry in commands()} == set(SECTIONS)


def test_examples_are_one_per_line():
    assert epilog("camviz a", "camviz b") == "Examples:\n  camviz a\n  camviz b"
