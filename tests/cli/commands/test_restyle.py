"""`camviz restyle`, as it is typed."""

from __future__ import annotations

import json
import os

import pytest


def test_restyle_writes_what_was_asked(run, finished_run, tmp_path, written):
    result = run("restyle", "out", "--colormap", "jet", "--format", "jpg", "-o", "new", "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    files = ["a_gradcam.jpg", "a_layercam.jpg", "x/b_gradcam.jpg", "x/b_layercam.jpg"]
    assert sorted(result.stdout.splitlines()) == [f"new/{name}" for name in files]
    assert written(tmp_path / "new") == files
    facts = [json.loads(line) for line in run("restyle", "new", "--json", "-o", "other").stdout.splitlines()]
    assert {entry["kind"] for entry in facts} == {"overlay"}
    assert {os.path.dirname(entry["path"]) for entry in facts} == {"other", "other/x"}
    again = run("restyle", "new")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "nothing left to do, 2 done before" in again.stderr


def test_restyle_in_place_leaves_one_plain_database(run, finished_run, tmp_path, written):
    before = written()
    assert run("restyle", "out", "--layout", "panel").exit_code == 0
    assert written() == before
    said = run("report", "out").stderr
    assert "the newest of 2 (--job chooses)" in said


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        (["--colormap", "vridis"], ["no color map 'vridis'", "did you mean 'viridis'"]),
        (["--layout", "pannel"], ["no layout 'pannel'"]),
        (["--scale", "fixed:x"], ["no scale 'fixed:x'"]),
        (["--sign", "minus"], ["'minus'", "--sign"]),
        (["--alpha", "3"], ["no alpha 3"]),
        (["-o", "out/a_gradcam.png"], ["cannot be a folder"]),
    ],
)
def test_restyle_refuses(run, finished_run, refused, written, options, quoted):
    before = written()
    refused(run("restyle", "out", *options), *quoted)
    assert written() == before


def test_restyle_goes_on_after_a_image_that_is_gone(run, finished_run, tmp_path):
    (tmp_path / "images" / "a.png").unlink()
    result = run("restyle", "out", "-o", "new")
    assert result.exit_code == 1
    assert "error: no file" in result.stderr
    assert [line.partition("_")[0] for line in result.stdout.splitlines()] == ["new/x/b"] * 2
