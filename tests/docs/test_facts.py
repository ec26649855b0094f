"""What can be typed is documented, and what the documents name exists."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
import typer.main

from camviz.cli.app import app
from camviz.methods import GROUPS, METHODS
from camviz.metrics import METRICS
from camviz.models.sources import SOURCES
from camviz.render import RENDERERS
from tests.helpers.documents import PAGES, PAIRS, ROOT, all_lines, command_lines, links, name, python_blocks, text
from tools.docs.reference import pages

COMMANDS = typer.main.get_command(app).commands
REFERENCE = pages()
WRITTEN = "\n".join(text(page) for page in PAGES)
TYPED = {"file": "my.pth", "py": "net.py:Net", "torchvision": "-m resnet50", "demo": "-m demo"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_documented(command):
    page = REFERENCE[f"reference/commands/{command}.md"]
    assert f"(commands/{command}.md)" in REFERENCE["reference/commands.md"]
    for parameter in COMMANDS[command].params:
        for option in parameter.opts + parameter.secondary_opts:
            assert f"`{option if option.startswith('-') else parameter.metavar}`" in page, option
        assert parameter.help, (command, parameter.name)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_a_page_for_people(command):
    assert re.search(rf"\bcamviz {command}\b", WRITTEN)


def test_every_method_and_its_settings_are_documented(run):
    listed = {entry["name"]: entry for entry in map(json.loads, run("methods", "--json").stdout.splitlines())}
    for entry in METHODS:
        assert listed[entry.name]["summary"]
        section = REFERENCE["reference/methods.md"].partition(f"### `{entry.name}`\n")[2].partition("\n### ")[0]
        assert entry.facts["cost"] in section
        assert all(f"--set {entry.name}.{setting}=" in section for setting in entry.settings)


def test_every_group_of_methods_is_in_the_help():
    [method] = [parameter for parameter in COMMANDS["heatmap"].params if "--method" in parameter.opts]
    assert all(re.search(rf"\b{group}\b", method.help) for group in GROUPS)


def test_every_metric_is_documented():
    for entry in METRICS:
        assert f"### `{entry.name}`\n" in REFERENCE["reference/metrics.md"]


def test_every_layout_and_preset_is_documented():
    page = REFERENCE["reference/layouts.md"]
    [layout] = [parameter for parameter in COMMANDS["heatmap"].params if "--layout" in parameter.opts]
    for entry in RENDERERS:
        assert f"| `{entry.name}` |" in page
        assert re.search(rf"\b{entry.name}\b", layout.help)
    for path in (ROOT / "configs").glob("*.toml"):
        assert f"### `{path.stem}`\n" in page


def test_every_source_of_models_is_in_a_page_for_people():
    for entry in SOURCES:
        assert TYPED.get(entry.name, f"-m {entry.name}:") in WRITTEN, entry.name
        assert f"| `{entry.name}` |" in REFERENCE["reference/models.md"]


def test_every_extra_is_named():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = re.findall(r"\[([\w,]+)\]'", WRITTEN + text("CONTRIBUTING.md"))
    named = {extra for found in lists for extra in found.split(",")}
    assert named == set(project["optional-dependencies"])


def test_every_variable_of_the_environment_is_named():
    code = "".join(path.read_text("utf-8") for path in (ROOT / "camviz").rglob("*.py"))
    read = set(re.findall(r"\bCAMVIZ_[A-Z]+\b", code))
    assert {variable for variable in read if f"`{variable}" not in WRITTEN} == set()


@pytest.mark.parametrize("line", [line for line in all_lines() if re.search(r"\bcamviz ", line)])
def test_every_command_and_option_of_a_line_exists(line):
    for part in re.findall(r"\bcamviz ([^|&;]*)", line):
        command, *words = part.split()
        if command.startswith("-"):
            continue
        options = {text for parameter in COMMANDS[command].params for text in parameter.opts + parameter.secondary_opts}
        typed = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert typed <= options | {"--help"}, typed - options


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files(page):
    for link in links(page):
        path = link.partition("#")[0]
        generated = (page.parent / path).resolve()
        known = REFERENCE if generated.is_relative_to(ROOT / "docs") else {}
        assert not path or generated.exists() or str(generated.relative_to(ROOT / "docs")) in known, link


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_a_chinese_page_has_the_commands_and_the_code_of_its_original(english, chinese):
    assert command_lines(chinese) == command_lines(english)
    code = [[re.sub(r"\s+#.*", "", block) for block in python_blocks(page)] for page in (english, chinese)]
    assert code[0] == code[1]


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "zh").glob("*.md")), ids=name)
def test_chinese_pages_say_nothing_to_type_that_english_ones_do_not(page):
    english = {line for other in PAGES if "zh" not in name(other) for line in command_lines(other)}
    assert set(command_lines(page)) <= english


def test_numbers_of_methods_are_those_of_the_registry():
    counts = {family: sum(entry.facts["family"] == family for entry in METHODS) for family in ("masking", "pixels")}
    assert f"with {len(METHODS.names())} methods" in text("README.md")
    assert f"| masking methods | {counts['masking']} |" in text("docs/benchmarks.md")
    assert f"| gradients at the pixels | {counts['pixels']} |" in text("docs/benchmarks.md")
