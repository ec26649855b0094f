"""`camviz layers`: paths, shapes, the default, receptive fields."""

from __future__ import annotations

import json
import re

import pytest


def test_the_columns(run, net_file):
    lines = run("layers", f"{net_file}:Net", "--input-size", 32, "--depth", 2, "--receptive-field").stdout.splitlines()
    cells = {line.replace("*", " ").split()[0]: line.split() for line in lines}
    assert cells["path"][-3:] == ["field", "share", "parameters"]
    assert cells["features.0"][-3:-1] == ["3", "0.879%"]
    assert cells["features.2"][-3:-1] == ["7", "4.79%"]
    assert cells["fc"][-3:-1] == ["whole", "100%"]


def test_the_key(run, net_file):
    result = run("layers", f"{net_file}:Net", "--input-size", 32, "--receptive-field", "--json")
    found = {one["path"]: one["receptive_field"] for one in map(json.loads, result.stdout.splitlines())}
    assert found["features.2"] == {
        "size": [7, 7],
        "stride": [4, 4],
        "first": [-3, -3],
        "share": round(49 / 1024, 6),
        "whole": False,
        "bound": False,
        "gated": False,
    }
    assert found["fc"] == {"share": 1.0, "whole": True, "bound": False, "gated": False}


def test_not_asked_for(run, net_file):
    result = run("layers", f"{net_file}:Net", "--input-size", 32, "--json")
    assert all("receptive_field" not in json.loads(line) for line in result.stdout.splitlines())


def test_what_is_not_known_and_gates_are_said(run):
    windows = run("layers", "swin_t", "--depth", 2, "--receptive-field")
    assert "≤100" in windows.stdout
    assert " ? " not in windows.stdout
    assert "note: ≤: windowed attention" in windows.stderr
    result = run("layers", "mobilenet_v3_small", "--depth", 2, "--receptive-field")
    assert "+gate" in result.stdout
    assert "note: +gate" in result.stderr
    assert "note" not in run("layers", "resnet18", "--depth", 1, "--receptive-field").stderr


WRAPPED = """

class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Net()

    def forward(self, x):
        return self.model(x)
"""


@pytest.fixture
def layers(run, net_file):
    def listing(*arguments: str):
        return run("layers", f"{net_file}:Net", "--input-size", "32", *arguments)

    return listing


def test_layers_lists_paths_shapes_and_stars_the_default(layers, heatmap, write_image, tmp_path):
    found = {one["path"]: one for one in map(json.loads, layers("--json").stdout.splitlines())}
    assert set(found) == {*(f"features.{i}" for i in range(4)), "features", "pool", "fc"}
    assert found["features.0"] == {
        "path": "features.0",
        "kind": "Conv2d",
        "shape": [8, 16, 16],
        "stride": 2.0,
        "parameters": 224,
        "layout": "plain",
        "default": False,
    }
    assert found["fc"]["stride"] is None
    [star] = [path for path, one in found.items() if one["default"]]
    used = json.loads(heatmap(write_image(tmp_path / "a.png"), "--json").stdout)["layer"]
    assert used == star
    [starred] = [line for line in layers().stdout.splitlines() if line.startswith("*")]
    assert starred.split()[1] == star


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--depth", "1"], ["features", "pool", "fc"]),
        (["--filter", "*Conv2d"], ["features.0", "features.2"]),
        (["--filter", "features.[01]"], ["features.0", "features.1"]),
        (["--filter", "fea*", "--depth", "1"], ["features"]),
    ],
)
def test_layers_that_match(layers, arguments, expected):
    found = [json.loads(line)["path"] for line in layers(*arguments, "--json").stdout.splitlines()]
    assert sorted(found) == sorted(expected)


def test_layers_lists_one_level_and_the_default_and_how_to_see_more(layers, net_file, run):
    result = layers()
    assert {"features", "pool", "fc"} < set(re.findall(r"^\*?\s*(\S+)", result.stdout, re.MULTILINE))
    assert result.stdout.count("features.") == 1  # the default layer
    assert "4 of 7 layers" in result.stderr
    assert "--depth 2" in result.stderr
    assert len(layers("--depth", "2").stdout.splitlines()) == 8
    net_file.write_text(net_file.read_text() + WRAPPED)
    inside = run("layers", f"{net_file}:Wrapped", "--input-size", 32).stdout
    assert "model.fc" in inside
    assert "model.features.0" not in inside


def test_layers_needs_no_download(run, monkeypatch):
    monkeypatch.setattr("torch.hub.download_url_to_file", None)
    result = run("layers", "resnet50", "--depth", "1")
    assert result.exit_code == 0
    assert "* layer4" in " ".join(result.stdout.split())


def test_a_listing_in_a_pipe_is_not_cut(run):
    [line] = [line for line in run("models").stdout.splitlines() if line.startswith("vit_b_16 ")]
    assert "IMAGENET1K_SWAG_LINEAR_V1" in line
    assert "…" not in line
