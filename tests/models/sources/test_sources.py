"""Model sources: which run code."""

from __future__ import annotations

from camviz.models.load import runs_code
from camviz.models.sources import SOURCES
from camviz.registry import Entry


def test_a_source_runs_code_unless_it_is_registered_otherwise(monkeypatch):
    SOURCES.names()  # imports the sources, before the new one is set for this test
    monkeypatch.setattr(SOURCES, "_entries", {**SOURCES._entries, "new": Entry("new", lambda *_: None, {})})
    names = ["new:x", "net.py:Net", "py:net.py:Net", "resnet18", "demo", "timm:x", "hf:a/b", "net.pth"]
    assert [name for name in names if runs_code(name)] == names[:3]
