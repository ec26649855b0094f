"""Results: their names, and that nobody sees half a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from camviz.errors import InputError, OutputError
from camviz.run.output.files import check_folder, prepare_folder, result_path, write_file


def test_a_folder_is_made_with_its_parents(tmp_path):
    prepare_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_check_makes_nothing(tmp_path):
    check_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", [check_folder, prepare_folder])
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_is_no_folder(tmp_path, check, below):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError) as caught:
        check(tmp_path / "out" / below)
    assert str(tmp_path / "out") in caught.value.message
    assert (tmp_path / "out").read_text() == "mine"


def test_a_dangling_link_is_no_folder(tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError):
        check_folder(tmp_path / "out")


def test_a_folder_without_the_right_to_write(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="cannot write"):
        check_folder(tmp_path / "out")


def test_a_folder_that_refuses_when_tried(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match="Read-only file system"):
        prepare_folder(tmp_path / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_real_folder_without_the_right_to_write(tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="cannot write"):
        check_folder(tmp_path / "out")


@pytest.mark.parametrize(
    ("stem", "parts", "expected"),
    [
        ("a", ["gradcam"], "a_gradcam.png"),
        ("x/a", ["gradcam", "top1", "layer4.1"], "x/a_gradcam_top1_layer4.1.png"),
        ("a.jpg", ["gradcam", "", "a/b c/"], "a.jpg_gradcam_a-b-c.png"),
        ("猫 一", ["gradcam++"], "猫 一_gradcam++.png"),
    ],
)
def test_names_of_results(stem, parts, expected):
    assert result_path(Path("out"), stem, parts, ".png") == Path("out") / expected


@pytest.mark.parametrize(
    "name",
    ["../a.png", "x/../../a.png", "/a.png", "..\\a.png", "\\a.png", "C:\\a.png", "C:/a.png", "..", "a\0.png", ""],
)
def test_a_name_that_leads_out_of_the_folder_is_refused(name):
    with pytest.raises(InputError, match="leads out of the output folder"):
        result_path(Path("out"), name, [], ".png")


@pytest.mark.parametrize("name", ["..a.png", "x/a..png", "a\\b.png", "c: d.png", "..."])
def test_a_name_that_only_looks_odd_is_used(name):
    assert result_path(Path("out"), name, [], ".png") == Path("out") / f"{name}.png"


def test_a_temporary_file_follows_no_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    (tmp_path / "a.part").symlink_to(victim)
    write_file(tmp_path / "a.png", b"new", tmp_path / "a.part")
    assert victim.read_bytes() == b"kept"
    assert (tmp_path / "a.png").read_bytes() == b"new"
    assert not (tmp_path / "a.png").is_symlink()


def test_a_file_appears_complete_and_alone(tmp_path):
    write_file(tmp_path / "deep" / "a.png", b"one")
    write_file(tmp_path / "deep" / "a.png", b"two")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]
    assert (tmp_path / "deep" / "a.png").read_bytes() == b"two"


def test_a_name_may_be_as_long_as_the_disk_allows(tmp_path):
    write_file(tmp_path / ("a" * 251 + ".png"), b"one")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("broken", ["open", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken):
    (tmp_path / "a.png").write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path if broken == "open" else os, broken, full)
    with pytest.raises(OutputError, match="No space left"):
        write_file(tmp_path / "a.png", b"new")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "a.png", b"new")
    assert list(tmp_path.iterdir()) == []
