"""What the README says exists, and what exists the README says."""

import re
from pathlib import Path

import typer.main

from camviz.cli.app import app
from camviz.methods import GROUPS, METHODS

TEXT = (Path(__file__).resolve().parents[1] / "README.md").read_text("utf-8")


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
    text = (Path(__file__).resolve().parents[1] / "CHANGELOG.md").read_text("utf-8")
    assert f"{len(METHODS.names())} methods" in text
