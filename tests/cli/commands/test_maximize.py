"""`camviz maximize`: one sheet per layer, its name, its facts, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def maximize(run, net_file, tmp_path, monkeypatch):
    """`maximize("--channel", 0, …)`: the command with the tiny model, writing to `tmp_path / "out"`."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object):
        fixed = ["--model", "net.py:Net", "--input-size", 32, "--output", tmp_path / "out", "--steps", 2]
        return run("maximize", *fixed, *arguments)

    return invoke


def test_one_sheet_with_all_channels(maximize, written, tmp_path):
    result = maximize("--layer", "features.2", "--channel", "3,5-7")
    assert result.exit_code == 0, result.stderr
    assert written() == ["maximize/net_Net_features.2.png"]
    assert result.stdout == f"{tmp_path / 'out' / 'maximize' / 'net_Net_features.2.png'}\n"
    assert "4 images, 1 file" in result.stderr
    assert np.asarray(Image.open(result.stdout.strip())).shape[1] > 2 * 224


def test_facts(maximize):
    result = maximize("--layer", "features.2", "--channel", 3, "--json", "-q")
    [facts] = [json.loads(line) for line in result.stdout.splitlines()]
    assert facts["kind"] == "maximize"
    assert facts["layer"] == "features.2"
    [shown] = facts["images"]
    assert shown["name"] == "channel 3"
    assert shown["before"] == shown["noise"]
    assert shown["raise"] is None or shown["raise"] == pytest.approx(shown["after"] / shown["noise"])
    assert result.stderr == ""


def test_a_sheet_for_each_layer(maximize, written):
    maximize("--layer", "features.[02]", "--channel", 0)
    assert written() == ["maximize/net_Net_features.0.png", "maximize/net_Net_features.2.png"]


def test_classes(maximize, written):
    result = maximize("--target", 2, "--target", 0, "--json")
    facts = json.loads(result.stdout)
    assert [one["name"] for one in facts["images"]] == ["class 2", "class 0"]
    assert all(0 <= one["probability"] <= 1 for one in facts["images"])
    assert facts["layer"] is None
    assert written() == ["maximize/net_Net_classes.png"]


def test_from_a_image(maximize, write_image, tmp_path, written):
    write_image(tmp_path / "a.png")
    result = maximize("--target", "top1", "--from", "a.png", "--size", 48, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["from"] == "a.png"
    assert written() == ["maximize/net_Net_classes_from_a.png"]


def test_the_demo_without_anything_else(run, tmp_path):
    result = run("maximize", "--channel", 0, "--steps", 1, "--size", 64, "-o", tmp_path / "out")
    assert result.stdout.strip().endswith("maximize/demo_features.4.png")


def test_a_channel_that_nothing_raises_is_told(maximize, tmp_path):
    (tmp_path / "silent.py").write_text(
        "from net import Net\nimport torch\ndef silent():\n    net = Net()\n    with torch.no_grad():\n"
        "        net.features[0].bias[:] = -99\n    return net\n"
    )
    result = maximize("--model", "silent.py:silent", "--layer", "features.1", "--channel", "1,2")
    assert result.exit_code == 0, result.stderr
    assert "channel 1, channel 2" in result.stderr


def test_the_same_seed_writes_the_same_bytes(maximize):
    first, second, other = (
        Path(maximize("--channel", 0, "--seed", seed).stdout.strip()).read_bytes() for seed in (1, 1, 2)
    )
    assert first == second != other


@pytest.mark.parametrize(
    ("arguments", "quoted"),
    [
        ([], ["neither --channel nor --target", "--channel 0-7"]),
        (["--layer", "features.2"], ["neither --channel nor --target"]),
        (["--channel", "0", "--target", "1"], ["--target '1' and --channel exclude each other"]),
        (["--layer", "features.0", "--target", "1"], ["--target '1' and --layer"]),
        (["--unit", "--target", "1"], ["--target '1' and --unit"]),
        (["--layer", "features.2", "--channel", "16"], ["no channel '16' in layer 'features.2'", "0 to 15"]),
        (["--layer", "features.2", "--channel", "0-99"], ["no channel '0-99'", "0 to 15"]),
        (["--layer", "features.*", "--channel", "12"], ["no channel '12' in layer 'features.0'"]),
        (["--channel", "x"], ["'x' is not a channel", "3,17"]),
        (["--layer", "fc", "--channel", "0"], ["layer 'fc'", "no grid", "--layer features", "camviz layers"]),
        (["--layer", "featurs", "--channel", "0"], ["no layer 'featurs'", "did you mean 'features'"]),
        (["--target", "4"], ["no class 4 in net:Net", "0 to 3"]),
        (["--target", "top1"], ["'top1'", "--from IMAGE"]),
        (["--target", "tabby"], ["no class 'tabby'", "--labels"]),
        (["--channel", "0", "--from", "gone.png"], ["--from", "no file 'gone.png'"]),
        (["--channel", "0", "--from", "net.py"], ["--from", "'net.py' is not an image"]),
        (["--channel", "0", "--steps", "0"], ["'0'", "--steps"]),
        (["--channel", "0", "--size", "-3"], ["'-3'", "--size"]),
        (["--channel", "0", "--precision", "fp8"], ["'fp8'"]),
        (["--channel", "0", "--output", "net.py"], ["output 'net.py'", "is a file"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and value[0].startswith("-") else "",
)
def test_a_wrong_request(maximize, refused, written, arguments, quoted):
    refused(maximize("-q", *arguments), *quoted)
    assert written() == []


def test_nan_is_named(maximize, refused, tmp_path, written):
    (tmp_path / "nan.py").write_text(
        "from net import Net\nimport torch\ndef nan():\n    net = Net()\n    with torch.no_grad():\n"
        "        net.features[2].bias[5] = float('nan')\n    return net\n"
    )
    fixed = ["--model", "nan.py:nan", "--layer", "features.2", "--channel", "4-6", "-q"]
    refused(maximize(*fixed), "layer 'features.2' (channel 5) of nan:nan gives NaN", "camviz layers")
    assert written() == []
