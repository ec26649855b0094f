"""Where a command computes and writes unless options change it."""

from __future__ import annotations

import tomllib


def test_the_defaults_as_show_config_prints_them(run):
    shown = tomllib.loads(run("heatmap", "--show-config").stdout)["heatmap"]
    assert {name: shown[name] for name in ("device", "precision", "batch-size")} == {
        "device": "auto",
        "precision": "fp32",
        "batch-size": 0,
    }
    assert {name: shown[name] for name in ("output", "json", "quiet")} == {
        "output": "camviz_out",
        "json": False,
        "quiet": False,
    }
