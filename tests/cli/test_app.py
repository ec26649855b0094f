"""The options before the command, and the commands of the application."""

from __future__ import annotations

import re

import camviz
from camviz.cli.registry import SECTIONS, commands


def test_version(run):
    result = run("--version")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"camviz {camviz.__version__}\n", "")


def test_the_help_has_a_panel_per_section_with_its_commands(run):
    text = run("--help").stdout
    panels = re.findall(r"╭─ ([^─]+?) ─", text)
    assert [panel for panel in panels if panel in SECTIONS] == list(SECTIONS)
    for entry in commands():
        panel = text.partition(f"╭─ {entry.section} ─")[2].partition("╰")[0]
        assert re.search(rf"^│ {entry.name} ", panel, re.MULTILINE), entry.name


def test_without_a_command_the_help_is_shown(run):
    assert "camviz heatmap photo.jpg" in run().output
