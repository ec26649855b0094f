"""Reference pages, generated from the program: commands, methods, metrics, models, layouts and presets."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import typer.main

from camviz.cli.app import app
from camviz.cli.registry import CommandEntry, commands
from camviz.methods import METHODS
from camviz.metrics import FAMILIES, METRICS
from camviz.models.sources import LISTINGS, SOURCES
from camviz.registry import Entry
from camviz.render import RENDERERS, colormap_names

ROOT = Path(__file__).resolve().parents[2]
NOTE = "<!-- Generated from the program by tools/docs. -->\n\n"
_METHOD_FAMILIES = {
    "cam": "Class activation maps",
    "masking": "Masking",
    "pixels": "Gradients at the pixels",
    "attention": "Attention",
}


def command_pages() -> dict[str, str]:
    """Return the page of every command by its path below `docs/`, and one that lists them."""
    parsers = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    pages, lists = {}, [f"{NOTE}# Commands\n\nExit status, streams and resuming: [Conventions](conventions.md).\n"]
    section = ""
    for entry in commands():
        parser = parsers[entry.name]
        pages[f"reference/commands/{entry.name}.md"] = _command_page(entry, parser)
        if entry.section != section:
            section = entry.section
            lists.append(f"\n## {section}\n\n| command | |\n|---|---|")
        lists.append(f"| [`camviz {entry.name}`](commands/{entry.name}.md) | {_summary(parser)} |")
    return {"reference/commands.md": "\n".join(lists) + "\n", **pages}


def _summary(parser: Any) -> str:
    return _cell(str(parser.help).partition("\n\n")[0])


def _command_page(entry: CommandEntry, parser: Any) -> str:
    arguments = [one for one in parser.params if one.param_type_name == "argument"]
    usage = " ".join(["camviz", entry.name, "[OPTIONS]", *(f"[{one.metavar}]" for one in arguments)])
    parts = [f"{NOTE}# camviz {entry.name}", inspect.cleandoc(str(parser.help)), f"```text\n{usage}\n```"]
    parts.append("```sh\n" + "\n".join(entry.examples) + "\n```")
    panels: dict[str, list[Any]] = {"Arguments": [], "Options": []}
    for option in parser.params:
        if option.param_type_name == "argument":
            panels.setdefault("Arguments", []).append(option)
        else:
            panels.setdefault(getattr(option, "rich_help_panel", None) or "Options", []).append(option)
    for title, options in ((title, options) for title, options in panels.items() if options):
        rows = [(_names(one), _values(one), _cell(one.help or ""), _default(one)) for one in options]
        parts.append(f"## {title}\n\n{_table(('option', 'value', 'meaning', 'default'), rows)}")
    return "\n\n".join(parts) + "\n"


def _names(option: Any) -> str:
    if option.param_type_name == "argument":
        return f"`{option.metavar}`"
    return " ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])


def _values(option: Any) -> str:
    kind = option.type_descriptor
    if option.param_type_name == "argument" or getattr(option, "is_flag", False):
        return ""
    if kind.is_choice:
        return " ".join(f"`{choice}`" for choice in kind.choices)
    return f"`{option.metavar or max(option.opts, key=len).rpartition('-')[2].upper()}`"


def _default(option: Any) -> str:
    if option.default is None or option.default is False or not getattr(option, "show_default", True):
        return ""
    return f"`{option.default}`"


def method_page() -> str:
    """Return the page of all methods: formula, paper, needs, cost and settings."""
    parts = [f"{NOTE}# Methods\n\nWhen to use which, and when each fails: [Methods](../concepts/methods.md)."]
    families = list(dict.fromkeys([*_METHOD_FAMILIES, *(entry.facts["family"] for entry in METHODS)]))
    for family in families:
        entries = [entry for entry in METHODS if entry.facts["family"] == family]
        parts.append(f"## {_METHOD_FAMILIES.get(family, family)}")
        parts += [_entry(entry, ("needs", "cost")) for entry in entries]
    return "\n\n".join(parts) + "\n"


def metric_page() -> str:
    """Return the page of all metrics: definition, paper, direction and settings."""
    parts = [f"{NOTE}# Metrics\n\nHow to read them: [Metrics](../concepts/metrics.md)."]
    for family in FAMILIES:
        parts.append(f"## {family.capitalize()}")
        entries = [entry for entry in METRICS if entry.facts["family"] == family]
        parts += [_entry(entry, ("better", "needs")) for entry in entries]
    return "\n\n".join(parts) + "\n"


def _entry(entry: Entry[Any], facts: Sequence[str]) -> str:
    """The section of a method or a metric."""
    told = [f"{name}: {entry.facts[name]}" for name in facts if name in entry.facts]
    settings = [f"`--set {entry.name}.{name}={default}`" for name, default in entry.settings.items()]
    lines = [f"* paper: {_paper(entry.facts.get('paper', ''))}", *(f"* {line}" for line in told)]
    lines += [f"* settings: {' '.join(settings)}"] if settings else []
    return f"### `{entry.name}`\n\n{_escaped(inspect.getdoc(entry.call) or '')}\n\n" + "\n".join(lines)


def _paper(paper: str) -> str:
    number = paper.removeprefix("arXiv:")
    if number != paper:
        return f"[{paper}](https://arxiv.org/abs/{number})"
    address = paper.removeprefix("doi:")
    return f"[{paper}](https://doi.org/{address})" if address != paper else paper


def model_page() -> str:
    """Return the page of what `--model` takes: the sources, and the models of those that are always there."""
    rows = [(f"`{entry.name}`", entry.facts.get("offers", ""), _cell(entry.summary)) for entry in SOURCES]
    parts = [f"{NOTE}# Models", _table(("source", "offers", ""), rows)]
    for listing in LISTINGS:
        if listing.name not in ("demo", "torchvision"):
            continue
        tasks: dict[str, list[str]] = {}
        for offer in listing.call():
            tasks.setdefault(offer.task, []).append(f"`{offer.name}`")
        for task, names in tasks.items():
            parts.append(f"## {listing.name}: {task}\n\n{' '.join(names)}")
    parts.append("`camviz models 'timm:vit*'` searches the models of an installed timm.")
    return "\n\n".join(parts) + "\n"


def layout_page() -> str:
    """Return the page of layouts, colormaps and presets."""
    parts = [f"{NOTE}# Layouts, colormaps, presets", "## `--layout`"]
    parts.append(_table(("layout", ""), [(f"`{entry.name}`", _cell(entry.summary)) for entry in RENDERERS]))
    parts.append("## `--colormap`\n\n" + " ".join(f"`{name}`" for name in colormap_names()))
    parts.append("## `--config`")
    for path in sorted((ROOT / "configs").glob("*.toml")):
        parts.append(f"### `{path.stem}`\n\n```toml\n{path.read_text('utf-8').strip()}\n```")
    return "\n\n".join(parts) + "\n"


def pages() -> dict[str, str]:
    """Return every generated page by its path below `docs/`."""
    made: dict[str, Callable[[], str]] = {
        "reference/methods.md": method_page,
        "reference/metrics.md": metric_page,
        "reference/models.md": model_page,
        "reference/layouts.md": layout_page,
    }
    return {**command_pages(), **{path: make() for path, make in made.items()}}


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _cell(text: str) -> str:
    """A text in one cell of a table."""
    return _escaped(re.sub(r"\s+", " ", text)).replace("|", "\\|")


def _escaped(text: str) -> str:
    """A text whose characters mean nothing to Markdown, but for its code spans."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(one if one.startswith("`") else re.sub(r"([*_<>\[\]])", r"\\\1", one) for one in parts)
