"""Results are printed on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from pathlib import Path

from camviz.cli.console import Console, own_stdin
from camviz.errors import InputError


def test_results_and_notes_have_a_stream_each(capsys):
    console = Console(quiet=True)
    console.say("a note")
    console.path(Path("out/[red]a.png"))
    console.error(InputError("no\nimage", "look\nagain"))
    assert capsys.readouterr() == ("out/[red]a.png\n", "error: no image\nhint: look again\n")


def test_standard_input_without_a_descriptor_is_none(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert own_stdin() is None
