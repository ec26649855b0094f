"""`camviz reconstruct`: one figure per image, its facts, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def reconstruct(run, net_file, tmp_path, write_image, monkeypatch):
    """`reconstruct("a.png", …)`: the command with the tiny model, writing to `tmp_path / "out"`."""
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "a.png")
    write_image(tmp_path / "b.png", width=64, seed=1)

    def invoke(*arguments: object):
        fixed = ["--model", "net.py:Net", "--input-size", 32, "--output", tmp_path / "out", "--steps", 2]
        return run("reconstruct", *fixed, *arguments)

    return invoke


def test_one_figure_per_image(reconstruct, written):
    result = reconstruct("a.png", "b.png", "--layer", "features.*")
    assert result.exit_code == 0, result.stderr
    assert written() == ["a_reconstruct.png", "b_reconstruct.png"]
    assert "2 images, 2 files" in result.stderr
    assert np.asarray(Image.open(result.stdout.splitlines()[0])).shape[1] >= 3 * 224


def test_facts(reconstruct):
    result = reconstruct("a.png", "--layer", "features.2", "--layer", "features.0", "--json", "-q")
    facts = json.loads(result.stdout)
    assert facts["kind"] == "reconstruction"
    assert facts["input"] == "a.png"
    assert [one["layer"] for one in facts["layers"]] == ["features.2", "features.0"]
    assert all(one["error"] >= 0 and -1 <= one["ssim"] <= 1 for one in facts["layers"])
    assert facts["layers"][0]["shape"] == [16, 8, 8]


def test_the_layers_are_named_when_nobody_chose(reconstruct):
    result = reconstruct("a.png")
    assert "layers: " in result.stderr
    assert "--layer chooses others" in result.stderr


def test_images_of_any_shape_in_batches(reconstruct, written):
    alone = reconstruct("a.png", "b.png", "--fit", "whole", "--layer", "features.0")
    assert alone.exit_code == 0, alone.stderr
    first = json.loads(reconstruct("a.png", "b.png", "--layer", "features.0", "--json").stdout.splitlines()[1])
    batch = ["--overwrite", "--batch-size", 2, "--layer", "features.0", "--json"]
    together = json.loads(reconstruct("a.png", "b.png", *batch).stdout.splitlines()[1])
    assert first["layers"][0]["error"] == pytest.approx(together["layers"][0]["error"], rel=1e-2)


def test_a_bad_image_does_not_stop_the_others(reconstruct, tmp_path, written):
    (tmp_path / "bad.png").write_text("words")
    result = reconstruct("bad.png", "a.png", "-q")
    assert result.exit_code == 1
    assert written() == ["a_reconstruct.png"]
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["error", "hint"]


@pytest.mark.parametrize(
    ("arguments", "quoted"),
    [
        (["--layer", "fc"], ["layer 'fc'", "no grid", "--layer features", "camviz layers"]),
        (["--layer", "featurs"], ["no layer 'featurs'", "did you mean 'features'"]),
        (["--steps", "0"], ["'0'", "--steps"]),
        (["--tv", "-1"], ["'-1", "--tv"]),
        (["--tv", "nan"], ["nan", "--tv"]),
        (["--seed", "x"], ["'x'", "--seed"]),
        (["--fit", "crop"], ["'crop'", "'squash'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0].startswith("-") else "",
)
def test_a_wrong_request(reconstruct, refused, written, arguments, quoted):
    refused(reconstruct("a.png", "-q", *arguments), *quoted)
    assert written() == []


def test_nan_is_named(reconstruct, refused, tmp_path, written):
    (tmp_path / "nan.py").write_text(
        "from net import Net\nimport torch\ndef nan():\n    net = Net()\n    with torch.no_grad():\n"
        "        net.features[2].bias[5] = float('nan')\n    return net\n"
    )
    result = reconstruct("a.png", "--model", "nan.py:nan", "--layer", "features.2", "-q")
    refused(result, "layer 'features.2' of nan:nan gives NaN", "camviz layers")
    assert written() == []
