"""`camviz layers --receptive-field`: two more columns, one more key."""

from __future__ import annotations

import json


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
    assert "note: ≤: attention in windows" in windows.stderr
    result = run("layers", "mobilenet_v3_small", "--depth", 2, "--receptive-field")
    assert "+gate" in result.stdout
    assert "note: +gate" in result.stderr
    assert "note" not in run("layers", "resnet18", "--depth", 1, "--receptive-field").stderr
