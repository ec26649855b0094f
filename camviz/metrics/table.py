"""Evaluations as tables, a hundred columns wide unless names are long."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from camviz.metrics import FAMILIES, Measure
from camviz.metrics.baselines import BASELINES

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from camviz.metrics.results import Evaluation, Summary

WIDTH = 100
SMALL = {"robustness", "sanity", "sparsity"}  # one table for those of one column


def text(found: Evaluation, ranked: bool = False, color: bool = False) -> str:
    """The tables as text; `color` for a terminal."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(file=buffer, width=400, highlight=False, force_terminal=color, no_color=not color)
    _print(console, found, ranked)
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def html(found: Evaluation) -> str:
    """The tables for a notebook."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=400, highlight=False, record=True)
    _print(console, found, False)
    return console.export_html(inline_styles=True, code_format='<pre style="line-height:1.2">{code}</pre>')


def _print(console: Console, found: Evaluation, ranked: bool) -> None:
    for table in tables(found):
        console.print(table)
        console.print()
    if ranked:
        console.print(_ranking(found))
        console.print()
    console.print(_legend(found), width=WIDTH)


def tables(found: Evaluation) -> list[RenderableType]:
    """One table per family; the families of one metric share one."""
    groups: dict[str, list[Measure]] = {}
    for family in FAMILIES:
        own = [measure for measure in found.measures if measure.family == family]
        if own:
            groups.setdefault("the map itself" if family in SMALL else family, []).extend(own)
    return [_table(found, title, measures) for title, measures in groups.items()]


def _table(found: Evaluation, title: str, measures: list[Measure]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    layers = list(dict.fromkeys(layer for _, layer in found.names if layer))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(Text(title), no_wrap=True, vertical="bottom")
    if len(layers) > 1:
        table.add_column("layer", no_wrap=True, vertical="bottom")
    for measure in measures:
        header = f"{measure.name} {'↑' if measure.sign > 0 else '↓'} ".replace("-", "-\n")
        table.add_column(header, justify="right", no_wrap=True, vertical="bottom")
    best = {measure.name: found.best(measure.name) for measure in measures}
    for name in found.names:
        baseline = name[0] in BASELINES
        cells = [Text(name[0], style="italic" if baseline else "")]
        cells += [Text(_short(name[1]))] if len(layers) > 1 else []
        for measure in measures:
            mark = "*" if name in best[measure.name] else " "
            value = cell(found.summary(*name, measure.name))
            cells.append(Text(value + mark, style="bold" if mark == "*" else ""))
        table.add_row(*cells)
    return table


def cell(found: Summary) -> str:
    """Mean and half the interval's width: 0.412±0.031; a dash where there is nothing."""
    if not np.isfinite(found.mean):
        return "–"
    mean = _number(found.mean)
    return f"{mean}±{_number(found.half)}" if np.isfinite(found.half) and found.count > 1 else mean


def _number(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}" if abs(value) < 99.9995 else f"{value:.3g}"  # no minus before zero


def _short(path: str, width: int = 11) -> str:
    """A layer's path; the beginning of a long one is left out."""
    return path if len(path) <= width else f"…{path[1 - width :]}"


def _ranking(found: Evaluation) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("rank", "method", "layer", "mean rank", "first in"):
        table.add_column(column, justify="left" if column in ("method", "layer") else "right", no_wrap=True)
    for number, one in enumerate(found.ranking()[:10], start=1):
        table.add_row(str(number), one.method, one.layer, f"{one.rank:.2f}", f"{one.wins:.0%}")
    return table


def _legend(found: Evaluation) -> str:
    count = len(found.images)
    return (
        f"{found.model}, {count} image{'s' * (count != 1)}; * best; ± half of the 95 % interval over images "
        "(bootstrap); random and gaussian know nothing of the model"
    )
