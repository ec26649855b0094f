"""Detectors and segmenters on the command line: names of files, facts, and errors that say what to type."""

import json

import numpy as np
import pytest
from PIL import Image

MODELS = """
import torch
from tests.helpers.dense import make


def detector():
    return make("ssd")


class Segmenter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.down = torch.nn.Conv2d(3, 6, 4, 4)
        self.up = torch.nn.ConvTranspose2d(6, 3, 4, 4)

    def forward(self, x):
        return {"out": self.up(self.down(x))}
"""


@pytest.fixture
def explain(run, write_image, tmp_path):
    """`explain("detector", …)`: the command on an image of 40×32 pixels."""
    (tmp_path / "nets.py").write_text(MODELS)
    (tmp_path / "names.txt").write_text("background\ncat\ndog\nbird\n")
    write_image(tmp_path / "a.png")

    def invoke(module: str, *arguments: object):
        fixed = ["--model", f"{tmp_path / 'nets.py'}:{module}", "--output", tmp_path / "out"]
        fixed += ["--labels", tmp_path / "names.txt"] if module == "detector" else ["--input-size", 32]
        return run("heatmap", tmp_path / "a.png", *fixed, *arguments)

    return invoke


def facts(result) -> list[dict]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_one_file_for_each_detection(explain):
    found = facts(explain("detector", "--target", "all", "--min-score", "0.3", "--json"))
    assert len(found) > 3
    assert [one["path"].rpartition("/")[2] for one in found[:2]] == ["a_hirescam_box0.png", "a_hirescam_box1.png"]
    assert [one["detection"] for one in found] == list(range(len(found)))
    assert all(one["score"] >= 0.3 and one["method"] == "hirescam" for one in found)
    assert len(found[0]["bounding_box"]) == 4
    width, height = Image.open(found[0]["path"]).size
    assert width * 32 == height * 40


def test_the_most_confident_one_of_a_class_and_by_number(explain):
    [best] = facts(explain("detector", "--json", "--min-score", "0.1"))
    assert best["path"].endswith("/a_hirescam.png")
    assert best["detection"] == 0
    name = best["target"].partition(",")[0]
    found = facts(explain("detector", "--target", name, "--target", "box:1", "--min-score", "0.1", "--json"))
    assert found[0]["path"].endswith(f"/a_hirescam_{name}-0.png")
    assert found[-1]["path"].endswith("/a_hirescam_box1.png")


def test_no_detection_is_done_and_the_hint_finds_one(explain):
    result = explain("detector", "--min-score", "0.99")
    assert (result.exit_code, result.stdout) == (0, "")
    [note] = [line for line in result.stderr.splitlines() if "a.png: " in line]
    assert note.startswith("note: ")
    assert "0.99" in note
    hint = note.partition("(")[2].rstrip(")")
    assert hint.startswith("--min-score ")
    assert explain("detector", *hint.split(), "--overwrite").stdout


def test_a_point_of_a_segmenter(explain):
    [found] = facts(explain("Segmenter", "--target", "point:20,16", "--json", "--save-raw"))[:1]
    assert found["target"].endswith(" at 20,16")
    assert found["method"] == "hirescam"
    result = explain("Segmenter", "--target", "point:200,16")
    assert result.exit_code == 1
    assert "a.png: point 200,16 is outside the image of 40×32" in result.stderr


def test_the_region_of_a_mask(explain, tmp_path):
    mask = np.zeros((32, 40), np.uint8)
    mask[8:24, 12:28] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    [found] = facts(explain("Segmenter", "--target", f"mask:{tmp_path / 'm.png'}", "--json"))
    assert found["region"] == pytest.approx(16 * 16 / 32**2, abs=0.02)
    result = explain("Segmenter", "--target", "mask:none.png")
    assert result.exit_code == 2
    assert "no mask file 'none.png'" in result.stderr


def test_a_box_of_a_model_that_finds_none(heatmap, write_image, tmp_path):
    result = heatmap(write_image(tmp_path / "a.png"), "--target", "box:0")
    assert result.exit_code == 2
    assert "1×4, not boxes" in result.stderr
