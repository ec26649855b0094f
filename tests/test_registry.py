"""The one kind of registry: names, duplicates, what is found by scanning a folder."""

from __future__ import annotations

import sys

import pytest

from camviz.errors import UnknownName
from camviz.methods import METHODS
from camviz.models.sources import SOURCES
from camviz.registry import Registry
from camviz.render import RENDERERS


@pytest.fixture
def registry(tmp_path, monkeypatch) -> Registry:
    """A registry over a folder with one file in it."""
    folder = tmp_path / "rooms_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from camviz.registry import Registry\nROOMS = Registry('room', __name__, 'the plan')\n"
    )
    (folder / "kitchen.py").write_text(
        "from rooms_for_test import ROOMS\n\n\n@ROOMS.add('kitchen', floor='ground')\n"
        "def kitchen(guests, *, chairs=4, table='oak'):\n    '''Where food is.\n\n    More.'''\n    return guests\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("rooms_for_test").ROOMS
    for name in [name for name in sys.modules if name.startswith("rooms_for_test")]:
        del sys.modules[name]


def test_the_folder_is_scanned_at_the_first_look(registry):
    assert "rooms_for_test.kitchen" not in sys.modules
    assert registry.names() == ["kitchen"]
    assert "kitchen" in registry
    assert "cellar" not in registry


def test_an_entry_knows_its_facts(registry):
    entry = registry.find("kitchen")
    assert entry.facts == {"floor": "ground"}
    assert entry.summary == "Where food is."
    assert entry.settings == {"chairs": 4, "table": "oak"}
    assert entry.call("us") == "us"


def test_a_name_taken_twice_is_an_error(registry):
    registry.names()
    with pytest.raises(ValueError, match="room 'kitchen' is registered twice"):
        registry.add("kitchen")(lambda guests: guests)


def test_an_unknown_name_is_told_with_the_nearest(registry):
    with pytest.raises(UnknownName) as caught:
        registry.find("kitchn")
    assert caught.value.message == "no room 'kitchn'"
    assert caught.value.hint == "did you mean 'kitchen'? the plan lists all"


@pytest.mark.parametrize("entries", [METHODS, SOURCES, RENDERERS], ids=["methods", "sources", "renderers"])
def test_every_entry_has_a_summary(entries):
    assert entries.names()
    assert [entry.name for entry in entries if not entry.summary] == []


def test_every_method_has_the_facts_that_are_listed():
    for entry in METHODS:
        assert {"family", "paper", "needs", "cost"} <= set(entry.facts), entry.name
