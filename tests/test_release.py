"""The version stands in one file; the change log knows it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from camviz import __version__

ROOT = Path(__file__).resolve().parents[1]


def test_the_version_stands_in_one_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"]
    written = project["tool"]["hatch"]["version"]["path"]
    assert re.findall(r'^__version__ = "(.*)"$', (ROOT / written).read_text("utf-8"), re.MULTILINE) == [__version__]
    for name in ("README.md", "README.zh-CN.md", "CITATION.cff"):
        assert __version__ not in (ROOT / name).read_text("utf-8"), name


def test_the_change_log_has_a_section_for_the_version_and_one_for_what_comes():
    log = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## \[(.*?)\]", log, re.MULTILINE)[:2] == ["Unreleased", __version__]
