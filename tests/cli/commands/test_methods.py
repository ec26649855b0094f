"""`camviz methods`: facts and settings of each."""

from __future__ import annotations

import json

from camviz.methods import METHODS


def test_methods_lists_every_one(run):
    lines = run("methods").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == METHODS.names()
    found = [json.loads(line) for line in run("methods", "--json").stdout.splitlines()]
    assert [one["name"] for one in found] == METHODS.names()
    assert all(one["summary"] and one["paper"] for one in found)


def test_one_method_in_full(run):
    out = run("methods", "gradcam").stdout
    assert "arXiv:1610.02391" in out
    assert METHODS.find("gradcam").summary in out
