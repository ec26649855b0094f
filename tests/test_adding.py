"""The files that CONTRIBUTING.md shows, dropped into a package path, work in every command next to them."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from camviz.demo import sample_folder

ROOT = Path(__file__).resolve().parents[1]
SHOWN = re.compile(r"^`(camviz/[\w/]+\.py)`:\n\n```python\n(.*?)```\n\n```sh\n(.*?)```", re.MULTILINE | re.DOTALL)
ADDED = {
    path: (code, lines.splitlines()) for path, code, lines in SHOWN.findall((ROOT / "CONTRIBUTING.md").read_text())
}
# a folder that stands for a package, then the command line; at the end, on stderr, whether torch was imported
START = """
import importlib, sys
importlib.import_module(sys.argv[1]).__path__.append(sys.argv[2])
sys.argv[1:] = sys.argv[3:]
from camviz.cli.app import main
try:
    main()
finally:
    print("torch imported:", "torch" in sys.modules, file=sys.stderr)
"""


@pytest.fixture
def dropped(tmp_path):
    """`dropped(path, line)`: the result of a command line after the file at `path` was added."""
    shutil.copy(sample_folder() / "star_and_ring.jpg", tmp_path / "photo.jpg")

    def call(path: str, line: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(ADDED[path][0])
        package = ".".join(Path(path).parent.parts)
        command = [sys.executable, "-c", START, package, str(file.parent), *shlex.split(line)[1:]]
        path_of_camviz = {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, timeout=120, env=os.environ | path_of_camviz
        )

    return call


def test_one_of_each_kind_is_shown():
    folders = {str(Path(path).parent) for path in ADDED}
    assert folders == {f"camviz/{room}" for room in ("methods", "models/sources", "render", "metrics", "cli/commands")}


@pytest.mark.parametrize(("path", "line"), [(path, line) for path, (_, lines) in ADDED.items() for line in lines])
def test_what_was_added_runs(dropped, path, line):
    done = dropped(path, line)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if line.split()[1] in ("methods", "--help", "sizes"):
        assert "torch imported: False" in done.stderr


def test_an_added_method_has_its_setting_and_its_summary(dropped):
    done = dropped("camviz/methods/mine.py", "camviz methods mine")
    assert "Weight channels by their mean positive gradient" in done.stdout
    assert "--set power=1.0" in done.stdout


def test_an_added_renderer_gets_the_bar_and_the_caption(dropped, tmp_path):
    from PIL import Image

    sizes = {}
    for frame in ("", "--colorbar", "--caption"):
        done = dropped(
            "camviz/render/on_gray.py", f"camviz heatmap photo.jpg -m demo --layout on-gray --overwrite {frame}"
        )
        with Image.open(tmp_path / done.stdout.strip()) as figure:
            sizes[frame] = figure.size
    with Image.open(tmp_path / "photo.jpg") as photo:
        assert sizes[""] == photo.size
    assert sizes["--colorbar"][0] > sizes[""][0]
    assert sizes["--caption"][1] > sizes[""][1]


def test_an_added_metric_is_measured_beside_the_baselines(dropped):
    line = "camviz evaluate photo.jpg -m demo --metric concentration --json"
    done = dropped("camviz/metrics/concentration.py", line)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"concentration"') >= 3


def test_an_added_source_is_listed_and_refuses_a_wrong_name(dropped):
    assert "tiny:16" in dropped("camviz/models/sources/tiny.py", "camviz models 'tiny:*'").stdout
    done = dropped("camviz/models/sources/tiny.py", "camviz heatmap photo.jpg -m tiny:small")
    assert done.returncode == 2
    assert "'tiny:small'" in done.stderr
    assert "torch imported: False" in done.stderr


def test_an_added_command_is_in_the_help(dropped):
    done = dropped("camviz/cli/commands/sizes.py", "camviz --help")
    assert re.search(r"\bsizes\b.*Print width, height and name", done.stdout)


@pytest.mark.parametrize("path", ADDED)
def test_the_code_keeps_the_rules_of_the_project(path, tmp_path):
    code = ADDED[path][0]
    assert ast.get_docstring(ast.parse(code))
    file = tmp_path / "added.py"
    file.write_text(code)
    for tool in (["ruff", "check"], ["ruff", "format", "--check"]):
        if importlib.util.find_spec("ruff"):
            done = subprocess.run(
                [sys.executable, "-m", *tool, "--config", str(ROOT / "pyproject.toml"), str(file)],
                capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_code_is_well_typed(tmp_path):
    pytest.importorskip("mypy", reason="pip install 'camviz[dev]'")
    files = []
    for path, (code, _) in ADDED.items():
        files.append(tmp_path / Path(path).name)
        files[-1].write_text(code)
    check = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    done = subprocess.run([*check, *map(str, files)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
