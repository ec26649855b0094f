"""Several methods, layers and targets in one command: names, settings, and the sheet of all."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from camviz.demo import sample_folder
from camviz.methods import METHODS


def lines(result):
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


def test_names_carry_what_was_asked_several_of(heatmap, write_image, tmp_path):
    file = write_image(tmp_path / "a.png")
    names = [
        line.rpartition("/")[2] for line in lines(heatmap(file, "--method", "gradcam,layercam", "-l", "features.*"))
    ]
    assert names[:3] == [
        "a_gradcam_features.0.png",
        "a_layercam_features.0.png",
        "a_gradcam_features.1.png",
    ]
    assert len(names) == len(set(names)) == 8


def test_a_method_without_a_layer_is_computed_once(heatmap, write_image, tmp_path):
    result = heatmap(
        write_image(tmp_path / "a.png"), "--method", "gradcam,gradient", "-l", "features.0", "-l", "features.2"
    )
    names = [line.rpartition("/")[2] for line in lines(result)]
    assert names == ["a_gradcam_features.0.png", "a_gradient.png", "a_gradcam_features.2.png"]


def test_parts_of_a_factorization_have_their_own_files_and_shares(heatmap, write_image, tmp_path):
    result = heatmap(write_image(tmp_path / "a.png"), "--method", "dff", "--set", "concepts=3", "--json")
    facts = [json.loads(line) for line in lines(result)]
    assert [one["path"].rpartition("/")[2] for one in facts] == [f"a_dff_part{i}.png" for i in (1, 2, 3)]
    assert [one["part"] for one in facts] == [1, 2, 3]
    shares = [one["share"] for one in facts]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=0.001)


def test_settings_and_the_seed_decide_and_are_repeatable(heatmap, write_image, tmp_path):
    file = write_image(tmp_path / "a.png")

    def raw(*options):
        out = lines(heatmap(file, "--method", "rise", "--set", "samples=6", "--save-raw", "--overwrite", *options))
        return np.load(next(line for line in out if line.endswith(".npy")))

    first, again, other, more = raw(), raw(), raw("--seed", 1), raw("--set", "cells=3")
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, more)


def test_json_says_whether_only_the_tail_ran_again(heatmap, write_image, tmp_path):
    [line] = lines(heatmap(write_image(tmp_path / "a.png"), "--method", "ablationcam", "--json"))
    assert json.loads(line)["rescored"] == "tail"


def test_a_group_passes_over_what_cannot_work_and_says_so(run, write_image, tmp_path):
    code = (
        "import torch\nfrom torch import nn\ndef build():\n    torch.manual_seed(0)\n    return nn.Sequential("
        "nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 3))\n"
    )
    (tmp_path / "soft.py").write_text(code)
    result = run(
        "heatmap", write_image(tmp_path / "a.png"), "-m", f"{tmp_path}/soft.py:build", "--input-size", 32,
        "--method", "pixels", "--set", "smoothgrad.samples=2", "--set", "vargrad.samples=2",
        "--set", "integrated-gradients.steps=2", "-o", tmp_path / "out",
    )  # fmt: skip
    names = [line.rpartition("/")[2] for line in lines(result)]
    assert "a_gradient.png" in names
    assert "skipped: guided-backprop: soft:build has no ReLU" in result.stderr
    pixels = [entry.name for entry in METHODS if entry.facts["family"] == "pixels"]
    assert len(names) == len(pixels) - 3


def test_a_group_of_which_nothing_works_is_an_error_and_beside_another_method_is_passed_over(
    heatmap, refused, write_image, tmp_path
):
    file = write_image(tmp_path / "a.png")
    refused(heatmap(file, "--method", "attention", "-q"), "Net has no attention", "--method gradcam works on it")
    both = heatmap(file, "--method", "attention,gradcam")
    assert len(lines(both)) == 1
    assert "skipped: legrad: net:Net has no attention" in both.stderr


def test_the_grid_is_one_file_of_all_maps(heatmap, write_image, tmp_path):
    file = write_image(tmp_path / "a.png", 60, 40)
    [line] = lines(
        heatmap(file, "--method", "gradcam,layercam,eigencam", "-t", "0", "-t", "1", "--layout", "grid", "--json")
    )
    facts = json.loads(line)
    assert facts["path"].endswith("a_grid.png")
    assert facts["kind"] == "grid"
    assert [(one["target"], one["method"]) for one in facts["maps"]][:2] == [
        ("class 0", "gradcam"),
        ("class 0", "layercam"),
    ]
    assert len(facts["maps"]) == 6
    width, height = Image.open(facts["path"]).size
    assert width > 4 * 360  # the image and three methods, side by side
    assert height > 2 * 240


def test_fused_layers_are_one_file(heatmap, write_image, tmp_path):
    [line] = lines(
        heatmap(write_image(tmp_path / "a.png"), "-l", "features.0", "-l", "features.2", "--fuse", "max", "--json")
    )
    assert json.loads(line)["layer"] == "features.0+features.2"


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        (["--set", "samples"], "--set 'samples' is not NAME=VALUE"),
        (["--method", "rise", "--set", "sampels=5"], "no setting 'sampels' in method 'rise'"),
        (["--method", "eigencam", "--smooth", "eigen"], "'eigencam' does not"),
        (["--smooth", "blur"], "blur"),
        (["--fuse", "sum"], "sum"),
    ],
)
def test_wrong_settings_are_told_in_two_lines(heatmap, write_image, refused, tmp_path, options, quoted):
    refused(heatmap(write_image(tmp_path / "a.png"), *options), quoted)


def test_methods_are_listed_with_what_they_need_and_their_settings(run):
    listing = lines(run("methods"))
    assert len(listing) == len(METHODS.names()) + 1
    assert all(word in listing[0] for word in ("family", "needs", "cost", "paper"))
    one = run("methods", "smoothgrad").stdout
    assert "arXiv:1706.03825" in one
    assert "--set samples=25" in one


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
    hint = note.rpartition("(")[2].rstrip(")")
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


STAR = sample_folder() / "star_and_ring.jpg"


@pytest.fixture
def flat(net, tmp_path):
    """Weights that are all the same: every class has the same score."""
    state = {name: torch.full_like(values, 0.1) for name, values in net().state_dict().items()}
    torch.save(state, tmp_path / "flat.pth")
    return ["--checkpoint", tmp_path / "flat.pth", "--target", "1"]


def test_a_weak_map_is_reported_on_stderr_in_json_and_in_its_caption(heatmap, flat, write_image, tmp_path):
    path = write_image(tmp_path / "a.png", 96, 96)
    plain = heatmap(path, *flat, "--json", "--layout", "panel")
    assert "weak:" not in plain.stdout + plain.stderr
    unmarked = (tmp_path / "out" / "a_gradcam.png").read_bytes()
    marked = heatmap(path, *flat, "--json", "--layout", "panel", "--floor")
    found = json.loads(marked.stdout)
    assert found["weak"].startswith("weak: ")
    assert found["note"].startswith(found["weak"])
    assert f"note: a_gradcam.png, gradcam: {found['note']}" in marked.stderr.splitlines()
    assert (tmp_path / "out" / "a_gradcam.png").read_bytes() != unmarked  # the figure shows it too


def test_a_map_above_the_floor_is_not_marked(run, tmp_path):
    result = run("heatmap", STAR, "-m", "demo", "--floor", "--json", "-o", tmp_path / "out")
    found = json.loads(result.stdout)
    assert "weak" not in found
    assert "note" not in found
    assert found["evidence"] > 1
