"""Several methods, layers and targets in one command: names, settings, and the sheet of all."""

import json

import numpy as np
import pytest
from PIL import Image

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
        (["--set", "samples"], "--set 'samples' is not key=value"),
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
