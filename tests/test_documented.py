"""Whatever a user can type is explained where a user looks: in the README, in `--help`, or in a listing."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from camviz.cli.app import app
from camviz.methods import GROUPS, METHODS
from camviz.metrics import METRICS
from camviz.models.sources import SOURCES
from camviz.render import RENDERERS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")
COMMANDS = typer.main.get_command(app).commands
TYPED = {"file": "`FILE`", "py": "`FILE.py:NAME`", "torchvision": "torchvision", "demo": "`--model demo`"}


def table(beginning: str) -> str:
    """The README's table with that first heading."""
    return re.search(rf"^\| {beginning} \|.*?(?=\n\n)", TEXT, re.MULTILINE | re.DOTALL)[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_the_help_of_its_command(run, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    shown = run(command, "--help").stdout
    for parameter in COMMANDS[command].params:
        for option in parameter.opts + parameter.secondary_opts:
            words = option if option.startswith("-") else parameter.metavar or option
            assert re.search(rf"(?<![\w-]){re.escape(words)}(?![\w-])", shown, re.IGNORECASE), (command, option)
        assert parameter.help, (command, parameter.name)
    assert f"`camviz {command}" in table("command")


def test_every_method_and_its_settings_are_listed(run):
    listed = {one["name"]: one for one in map(json.loads, run("methods", "--json").stdout.splitlines())}
    for entry in METHODS:
        assert listed[entry.name]["summary"]
        shown = run("methods", entry.name).stdout
        assert all(f"--set {name}=" in shown for name in entry.settings)
        assert f"`{entry.name}`" in table("family")


def test_every_group_of_methods_is_named():
    [method] = [one for one in COMMANDS["heatmap"].params if "--method" in one.opts]
    [named] = re.findall(r"also ((?:\w+, )*\w+)", method.help)
    assert set(named.split(", ")) == set(GROUPS)


def test_every_metric_is_listed(run):
    shown = run("evaluate", "--list").stdout
    for entry in METRICS:
        [line] = [line for line in shown.splitlines() if line.split()[0] == entry.name]
        assert entry.summary in line


def test_every_bundled_configuration_is_named():
    bundled = {path.stem for path in (ROOT / "configs").glob("*.toml")}
    [line] = [line for line in TEXT.splitlines() if line.startswith("camviz heatmap img.jpg --config paper ")]
    assert set(re.findall(r"\w+", line.partition("bundled:")[2])) == bundled


def test_every_layout_is_in_the_help():
    [layout] = [one for one in COMMANDS["heatmap"].params if "--layout" in one.opts]
    assert all(re.search(rf"\b{entry.name}\b", layout.help) for entry in RENDERERS)


def test_every_source_of_models_is_named():
    sources = table("source")
    for entry in SOURCES:
        words = TYPED.get(entry.name, f"`{entry.name}:")
        assert words in sources or words in TEXT, entry.name


def test_every_extra_is_named():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {extra for found in re.findall(r"(?:camviz|\.)\[([\w,]+)\]", TEXT) for extra in found.split(",")}
    assert named == set(project["optional-dependencies"])


def test_every_variable_of_the_environment_is_named():
    code = "".join(path.read_text("utf-8") for path in (ROOT / "camviz").rglob("*.py"))
    read = set(re.findall(r"\bCAMVIZ_[A-Z]+\b", code))
    assert {name for name in read if f"`{name}" not in TEXT} == set()
