"""An option has one name, one help text and one default, in whatever command it is."""

from __future__ import annotations

import re

import pytest

from camviz.cli.app import app
from camviz.cli.registry import commands

CONTRACT = {
    "--model", "--weights", "--checkpoint", "--labels", "--layer", "--method", "--target", "--score",
    "--device", "--precision", "--batch-size", "--output", "--quiet", "--json",
}  # fmt: skip


OF_RUNS = ("restyle", "replay", "report", "export")


def options() -> dict[str, dict[str, object]]:
    """Every command's options by name, with their parameters."""
    import typer

    commands = typer.main.get_command(app).commands
    return {name: {o: p for p in one.params for o in p.opts if o.startswith("-")} for name, one in commands.items()}


def test_every_command_is_there():
    names = {entry.name for entry in commands()}
    assert names == set(options())


def test_heatmap_has_the_options_of_the_contract():
    assert set(options()["heatmap"]) >= CONTRACT


def test_the_same_option_means_the_same_in_every_command():
    seen: dict[str, tuple[str, object, object]] = {}
    for command, named in options().items():
        for option, parameter in named.items():
            if option in CONTRACT - {"--json"} | {"--input-size", "--mean", "--std", "--allow-pickle"}:
                if parameter.default is None and command in (*OF_RUNS, "compare"):
                    continue  # there the run decides, or where it is; and many models have many values
                if (command, option) in (("evaluate", "--output"), ("doctor", "--method")):
                    continue  # its result is its table, files only when they are asked for; and one method, not many
                if option == "--target" and command in ("maximize", "features"):
                    continue  # a class to maximize, or the class of --rank contribution
                text, _, _ = parameter.help.partition(" Default:")  # which is what the command makes of it
                facts = (text, parameter.default, parameter.is_flag)
                assert seen.setdefault(option, facts) == facts, (command, option)


@pytest.mark.parametrize("width", [80, 120])
def test_help_shows_what_to_type_and_no_type_of_python(run, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for command in [*options(), ""]:
        text = run(*command.split(), "--help").stdout
        assert not re.findall(r"<\w+|list\[|\bbool\b|\[\[|…", text.replace(", …", ""))
        assert max(map(len, text.splitlines())) <= width
        assert "oduct" not in text.replace("product", ""), "a word is broken"


def test_the_default_of_a_shared_option_is_that_of_the_command():
    found = options()
    assert {name for name, one in found.items() if "--model" in one and "Default: demo." in one["--model"].help} == {
        "filters", "maximize", "layers",
    }  # fmt: skip
    assert "Default: the first convolution." in found["filters"]["--layer"].help
    assert "Default: the last layer of each resolution." in found["reconstruct"]["--layer"].help


def test_every_option_has_help():
    for command, named in options().items():
        for option, parameter in named.items():
            assert parameter.help, (command, option)
