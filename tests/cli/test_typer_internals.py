"""Typer's internals are used in one file, and Typer is pinned to the minor version that has them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import typer

ROOT = Path(__file__).resolve().parents[2]
HOME = "camviz/cli/typer_internals.py"


def test_one_file_imports_them():
    inside = set()
    for path in (ROOT / "camviz").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(module and re.match(r"typer\.|click\b", module) for module in modules):
                inside.add(path.relative_to(ROOT).as_posix())
    assert inside == {HOME}


def test_the_pin_is_the_next_minor_version():
    pins = re.search(r'"typer>=(\d+)\.(\d+),<(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert pins, "no pin"
    major, minor, below_major, below_minor = map(int, pins.groups())
    installed = tuple(map(int, typer.__version__.split(".")[:2]))
    assert installed == (major, minor)
    assert (below_major, below_minor) == (major, minor + 1)


def test_an_option_from_elsewhere_keeps_its_type(run, tmp_path, write_image):
    """Parameters that Typer has built become ours, and convert as they did."""
    image = write_image(tmp_path / "a.png")
    result = run("heatmap", image, "-m", "demo", "--alpha", "much")
    assert result.exit_code == 2
    assert "'much'" in result.stderr
    assert "--alpha" in result.stderr
