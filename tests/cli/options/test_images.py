"""Repeated options and comma-separated lists."""

from __future__ import annotations

from camviz.cli.options import several


def test_repeated_and_separated_values_are_one_tuple_without_duplicates():
    assert several(["a,b", " c ", "b,,a"]) == ("a", "b", "c")


def test_the_default_is_taken_where_nothing_is_typed():
    assert several(None, ["x,y"]) == ("x", "y")
    assert several([], ["x"]) == ("x",)
    assert several([","], ["x"]) == ()
    assert several(None) == ()
