"""`camviz models`: names, tasks, weights, and what is cached."""

from __future__ import annotations

import json

import pytest

from camviz.models.catalog import listings


def test_models_lists_every_one(run):
    result = run("models")
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert [name for name in names if ":" not in name] == ["demo", *listings()]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("resnet1*", ["resnet18", "resnet101", "resnet152"]),
        ("net18", ["quantized_resnet18", "resnet18"]),
        ("RESNET18", ["quantized_resnet18", "resnet18"]),
        ("demo", ["demo"]),
        ("fasterrcnn_resnet*", ["fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2"]),
    ],
)
def test_models_that_match(run, pattern, expected):
    def found(pattern: str) -> list[str]:
        names = [json.loads(line)["name"] for line in run("models", pattern, "--json").stdout.splitlines()]
        return [name for name in names if ":" not in name]

    assert sorted(found(pattern)) == sorted(expected)
    assert found("vit_?_16") == ["vit_b_16", "vit_l_16"]


def test_models_says_what_is_cached(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert json.loads(run("models", "resnet18", "--json").stdout.splitlines()[1])["cached"] == []
    place = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    place.parent.mkdir(parents=True)
    place.touch()
    found = json.loads(run("models", "resnet18", "--json").stdout.splitlines()[1])
    assert found == {
        "name": "resnet18",
        "task": "classification",
        "weights": ["IMAGENET1K_V1"],
        "cached": ["IMAGENET1K_V1"],
    }


def test_models_tells_the_task(run):
    found = {one["name"]: one["task"] for one in map(json.loads, run("models", "--json").stdout.splitlines())}
    assert found["deeplabv3_resnet50"] == "segmentation"
    assert found["maskrcnn_resnet50_fpn"] == "detection"
    assert found["r3d_18"] == "video classification"
    assert found["quantized_resnet18"] == "quantized classification"
    assert found["raft_small"] == "optical flow"


def test_the_weights_of_one_model_are_all_listed(run):
    [_, line] = run("models", "regnet_y_16gf").stdout.splitlines()
    assert line.count("IMAGENET1K") == 4
    assert "IMAGENET1K_V2 (default)" in line
