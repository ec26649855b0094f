"""What the README says exists, and what exists the README says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from camviz.cli.app import app
from camviz.demo import sample_folder
from camviz.methods import GROUPS, METHODS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")


def typed(text: str) -> list[str]:
    """The lines of all blocks of code, without comments."""
    blocks = re.findall(r"```\w+\n(.*?)```", text, re.DOTALL)
    lines = [re.sub(r"(^|\s)#.*", "", line).rstrip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def test_the_chinese_readme_says_the_same():
    chinese = (ROOT / "README.zh-CN.md").read_text("utf-8")
    assert typed(chinese) == typed(TEXT)
    assert re.findall(r"^#+", chinese, re.MULTILINE) == re.findall(r"^#+", TEXT, re.MULTILINE)
    assert re.findall(r"\]\((docs/.*?)\)", chinese) == re.findall(r"\]\((docs/.*?)\)", TEXT)
    for text in (TEXT, chinese):
        assert len(re.findall(r"^\|", text, re.MULTILINE)) == len(re.findall(r"^\|", TEXT, re.MULTILINE))
    assert re.findall(r"^`(camviz .*?)`", chinese, re.MULTILINE) == re.findall(r"^`(camviz .*?)`", TEXT, re.MULTILINE)


def test_every_image_is_there():
    for path in re.findall(r"\]\((docs/.*?)\)", TEXT):
        assert (ROOT / path).is_file(), path


def test_every_method_is_in_the_table_once():
    table = "\n".join(line for line in TEXT.splitlines() if line.startswith("|"))
    named = [name for name in re.findall(r"`([^`]+)`", table) if name in METHODS]
    assert sorted(set(named)) == sorted(METHODS.names())


def test_the_shared_backward_is_that_of_the_group():
    [line] = [line for line in TEXT.splitlines() if line.startswith("| CAM, one shared backward")]
    assert set(re.findall(r"`([^`]+)`", line)) == {e.name for e in METHODS if GROUPS["gradients"](e)}


def test_every_command_is_named_and_every_named_command_and_option_exists():
    commands = typer.main.get_command(app).commands
    assert all(f"`camviz {name}" in TEXT for name in commands)
    for line in re.findall(r"^(?:.*\| )?(camviz .*)$", TEXT, re.MULTILINE):
        words = re.split("[#|]", line)[0].split()
        assert words[1] in commands, line
        options = {
            text for parameter in commands[words[1]].params for text in parameter.opts + parameter.secondary_opts
        }
        typed = {word.partition("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)}
        assert typed <= options, (line, typed - options)


def test_how_many_methods_the_changelog_says():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"{len(METHODS.names())} methods" in text


def python(beginning: str) -> str:
    """The block of Python that begins so."""
    [block] = [one for one in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if one.startswith(beginning)]
    return block


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    """With the bundled model and images in the place of the reader's."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(sample_folder() / "star_and_ring.jpg", "cat.jpg")
    shutil.copy(sample_folder() / "drop_alone.jpg", "dog.jpg")
    code = python("import camviz").replace('"resnet50"', '"demo"').replace('"tabby"', '"star"')
    found: dict = {}
    exec(code.replace('layer="layer3"', 'layer="features.3"'), found)
    assert Path("cat_overlay.png").exists()
    assert found["m"].values.ndim == 2
    assert "insertion" in capsys.readouterr().out


@pytest.mark.slow
def test_its_python_is_well_typed(tmp_path):
    """For a project of somebody's own that is as strict as can be."""
    pytest.importorskip("mypy", reason="pip install 'camviz[dev]'")
    files = []
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)):
        files.append(tmp_path / f"block{number}.py")
        files[-1].write_text(block.replace("e.summary(…), ", ""))
    check = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--cache-dir",
        str(tmp_path / "cache"),
        *map(str, files),
    ]
    done = subprocess.run(
        check, cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert files
    assert done.returncode == 0, done.stdout
