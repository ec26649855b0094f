"""`--output x.png`: the figure of one image under that name, without a folder around it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def image(tmp_path, write_image, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_image(tmp_path / "a.png")


@pytest.fixture
def typed(run, net_file, image):
    def invoke(command, *words):
        return run(command, *words, "-m", "net.py:Net", "--input-size", 32)

    return invoke


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("words", "suffix"),
    [
        (["heatmap"], "png"),
        (["heatmap"], "jpg"),
        (["heatmap", "--layout", "grid", "--method", "gradcam,layercam"], "webp"),
        (["features"], "JPG"),
        (["reconstruct", "--steps", "2", "--layer", "features.0"], "png"),
        (["compare", "-m", "net.py:Net", "--weights", "random"], "png"),
        (["heatmap", "--format", "jpg"], "jpg"),
    ],
)
def test_one_image_is_that_file(typed, tmp_path, words, suffix):
    before = files(tmp_path)
    result = typed(words[0], "a.png", *words[1:], "-o", f"new/map.{suffix}")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"new/map.{suffix}\n"
    assert sorted(set(files(tmp_path)) - set(before)) == [f"new/map.{suffix}"]
    with Image.open(f"new/map.{suffix}") as figure:
        assert figure.format == {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[suffix.lower()]


def test_the_same_figure_as_in_a_folder(typed, tmp_path):
    assert typed("heatmap", "a.png", "-o", "x.png").exit_code == 0
    [path] = typed("heatmap", "a.png", "-o", "folder").stdout.splitlines()
    assert (tmp_path / "x.png").read_bytes() == (tmp_path / path).read_bytes()


def test_raw_values_lie_beside_it_and_json_tells_the_path(typed, tmp_path):
    result = typed("heatmap", "a.png", "-o", "x.png", "--save-raw", "--json")
    assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == ["x.png", "x.npy"]
    assert np.load("x.npy").dtype == np.float32


def test_it_is_computed_every_time(typed, tmp_path):
    typed("heatmap", "a.png", "-o", "x.png")
    (tmp_path / "x.png").write_bytes(b"old")
    assert typed("heatmap", "a.png", "-o", "x.png").exit_code == 0
    assert Image.open("x.png").format == "PNG"


@pytest.mark.parametrize(
    ("words", "quoted"),
    [
        (["a.png", "b.png", "-o", "x.png"], ["'x.png'", "--output x"]),
        (["a.png", "-o", "x.png", "--method", "gradcam,layercam"], ["'x.png'", "--output x"]),
        (["a.png", "-o", "a.png"], ["'a.png'", "input"]),
        (["a.png", "-o", "x.png", "--format", "jpg"], ["--format jpg", "--output x.jpg"]),
    ],
)
def test_what_one_file_cannot_hold(typed, write_image, tmp_path, refused, words, quoted):
    write_image(tmp_path / "b.png", seed=1)
    before = files(tmp_path)
    refused(typed("heatmap", *words, "-q"), *quoted)
    assert files(tmp_path) == before


def test_a_folder_of_that_name_stays_a_folder(typed, tmp_path):
    (tmp_path / "x.png").mkdir()
    result = typed("heatmap", "a.png", "-o", "x.png")
    assert result.exit_code == 0, result.stderr
    assert files(tmp_path / "x.png") == ["a_gradcam.png", "camviz.sqlite"]
