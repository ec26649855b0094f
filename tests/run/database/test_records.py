"""Records of images and of failures, as plain values."""

from __future__ import annotations

from camviz.io.inputs import Input
from camviz.run.database.records import failure


def test_a_bug_is_told_as_one(tmp_path):
    made = failure(Input(tmp_path / "a", "a"), ZeroDivisionError("of\nall"))
    assert "unexpected ZeroDivisionError: of all" in made.error.message
    assert "bug" in made.error.hint
