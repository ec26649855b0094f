"""Format evaluations as tables, 100 columns wide unless names are long."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

import numpy as np

from camviz.io.texts import visible
from camviz.metrics import FAMILIES, Measure
from camviz.metrics.baselines import BASELINES
from camviz.metrics.statistics import Statistics, Summary

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDTH = 100
_ACROSS = 5  # metrics beside each other
SMALL = {"robustness", "sanity", "sparsity"}  # families of one metric share a table


def text(statistics: Statistics, ranked: bool = False, color: bool = False) -> str:
    """Return the tables as text; `color` for a terminal."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(file=buffer, width=400, highlight=False, force_terminal=color, no_color=not color)
    _print(console, statistics, ranked)
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def html(statistics: Statistics) -> str:
    """Return the tables as HTML for a notebook."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=400, highlight=False, record=True)
    _print(console, statistics, False)
    return console.export_html(inline_styles=True, code_format='<pre style="line-height:1.2">{code}</pre>')


def _print(console: Console, statistics: Statistics, ranked: bool) -> None:
    for table in tables(statistics):
        console.print(table)
        console.print()
    if ranked:
        console.print(_ranking(statistics))
        console.print()
    console.print(_legend(statistics), width=WIDTH)


def tables(statistics: Statistics) -> list[RenderableType]:
    """Return one table per family, several for one of many metrics; families of one metric share a table."""
    groups: dict[str, list[Measure]] = {}
    for family in FAMILIES:
        measures = [measure for measure in statistics.measures if measure.family == family]
        if measures:
            groups.setdefault("the map itself" if family in SMALL else family, []).extend(measures)
    parts = [(title, part) for title, measures in groups.items() for part in _even_parts(measures)]
    return [_table(statistics, title, part) for title, part in parts]


def _even_parts(measures: list[Measure]) -> list[list[Measure]]:
    """Split into as few parts of about equal length as fit across the page."""
    count = -(-len(measures) // _ACROSS)
    ends = [part * len(measures) // count for part in range(count + 1)]
    return [measures[start:end] for start, end in itertools.pairwise(ends)]


def _table(statistics: Statistics, title: str, measures: list[Measure]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    layers = list(dict.fromkeys(layer for _, layer in statistics.names if layer))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(Text(title), no_wrap=True, vertical="bottom")
    if len(layers) > 1:
        table.add_column("layer", no_wrap=True, vertical="bottom")
    for measure in measures:
        header = f"{measure.name} {'↑' if measure.sign > 0 else '↓'} ".replace("-", "-\n")
        table.add_column(header, justify="right", no_wrap=True, vertical="bottom")
    best = {measure.name: statistics.best(measure.name) for measure in measures}
    for name in statistics.names:
        baseline = name[0] in BASELINES
        cells = [Text(name[0], style="italic" if baseline else "")]
        cells += [Text(_short(name[1]))] if len(layers) > 1 else []
        for measure in measures:
            mark = "*" if name in best[measure.name] else " "
            value = cell(statistics.summary(*name, measure.name))
            cells.append(Text(value + mark, style="bold" if mark == "*" else ""))
        table.add_row(*cells)
    return table


def cell(summary: Summary) -> str:
    """Return mean ± half the interval's width, as 0.412±0.031; a dash without a value."""
    if not np.isfinite(summary.mean):
        return "–"
    mean = _number(summary.mean)
    return f"{mean}±{_number(summary.half)}" if np.isfinite(summary.half) and summary.count > 1 else mean


def _number(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}" if abs(value) < 99.9995 else f"{value:.3g}"  # no minus before zero


def _short(path: str, width: int = 11) -> str:
    """Return a layer's path, without the beginning if it is long."""
    path = visible(path)
    return path if len(path) <= width else f"…{path[1 - width :]}"


def _ranking(statistics: Statistics) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("rank", "method", "layer", "mean rank", "first in"):
        table.add_column(column, justify="left" if column in ("method", "layer") else "right", no_wrap=True)
    for number, standing in enumerate(statistics.ranking()[:10], start=1):
        row = (standing.method, standing.layer, f"{standing.rank:.2f}", f"{standing.wins:.0%}")
        table.add_row(str(number), *row)
    return table


def _legend(statistics: Statistics) -> str:
    count = len(statistics.images)
    return (
        f"{statistics.model}, {count} image{'s' * (count != 1)}; * best; ± half of the 95 % interval over images "
        "(bootstrap); random and gaussian are baselines that do not use the model"
    )
