"""Several models on one command line: what belongs to which, and their names."""

from __future__ import annotations

from dataclasses import replace

from camviz.cli.multi_model import _expanded, _natural, names_of
from camviz.types import ModelRequest


def test_numbers_in_names_count_as_numbers(tmp_path):
    for name in ("e10.pth", "e9.pth", "e1.pth"):
        (tmp_path / name).touch()
    names = [one.rpartition("/")[2] for one in _expanded([str(tmp_path / "e*.pth")])]
    assert names == ["e1.pth", "e9.pth", "e10.pth"]
    assert _natural("e9") < _natural("e10")


def test_models_of_other_architectures_are_called_by_those():
    found = [(ModelRequest("resnet18", checkpoint="w/a.pth"), ()), (ModelRequest("vgg16", checkpoint="w/b.pth"), ())]
    assert names_of(found, ()) == ["resnet18", "vgg16"]
    assert names_of([(replace(one, spec="vgg16"), ()) for one, _ in found], ()) == ["a", "b"]


def test_models_of_the_same_file_name_are_told_apart_by_their_folders():
    found = [(ModelRequest(f"{folder}/net.py:Net"), ()) for folder in ("/a/old", "/a/new")]
    assert names_of(found, ()) == ["old/net.py:Net", "new/net.py:Net"]
    assert names_of([found[0], found[0]], ()) == ["net.py:Net", "net.py:Net"]
