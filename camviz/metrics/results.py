"""`Evaluation`: the result of `evaluate`, as tables, JSON and CSV."""

from __future__ import annotations

from typing import Any

import numpy as np

from camviz.io.tables import csv_text
from camviz.io.texts import json_text
from camviz.metrics import table
from camviz.metrics.baselines import BASELINES
from camviz.metrics.statistics import Statistics, Summary


class Evaluation(Statistics):
    """The statistics of one model's maps. Prints as tables; `to_csv` and `to_json` return the numbers."""

    def facts(self) -> list[dict[str, Any]]:
        """Return one dict per method and layer, ready for JSON."""
        standings = {(item.method, item.layer): (number, item) for number, item in enumerate(self.ranking(), 1)}
        facts = []
        for name in self.names:
            numbers = {measure.name: _rounded(self.summary(*name, measure.name)) for measure in self.measures}
            fact = {
                "model": self.model,
                "method": name[0],
                "layer": name[1],
                "baseline": name[0] in BASELINES,
                **numbers,
            }
            if name in standings:
                number, standing = standings[name]
                fact |= {"place": number, "mean_rank": round(standing.rank, 3), "wins": round(standing.wins, 3)}
            facts.append(fact)
        return facts

    def to_json(self) -> str:
        """Return one JSON object per line: a method at a layer, its means and intervals."""
        return "\n".join(json_text(fact) for fact in self.facts())

    def to_csv(self) -> str:
        """Return CSV with one line per method, layer and metric: mean, interval, number of images."""
        lines = []
        for name in self.names:
            for measure in self.measures:
                numbers = _rounded(self.summary(*name, measure.name)).values()
                lines.append([self.model, *name, measure.name, *("" if v is None else v for v in numbers)])
        return csv_text(["model", "method", "layer", "metric", "mean", "low", "high", "images"], lines)

    def rows_csv(self) -> str:
        """Return CSV with one line per image, target, method and layer, one column per metric.

        Metrics with thresholds are given at the best one over all images.
        """
        header = ["image", "target", "method", "layer", *(measure.name for measure in self.measures)]
        lines: list[list[Any]] = []
        for row in self.rows:
            cells = []
            for measure in self.measures:
                chosen = self._means[row.method, row.layer, measure.name][2]
                value = np.atleast_1d(row.values[measure.name])[chosen]
                cells.append(f"{value:.6g}" if np.isfinite(value) else "")
            lines.append([row.image, row.target, row.method, row.layer, *cells])
        return csv_text(header, lines)

    def __str__(self) -> str:
        return "\n".join([table.text(self), *(f"note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        return table.html(self)


def _rounded(summary: Summary) -> dict[str, Any]:
    """Return the summary's numbers, None for NaN, which JSON lacks."""
    numbers = {"mean": summary.mean, "low": summary.low, "high": summary.high}
    return {key: round(v, 6) if np.isfinite(v) else None for key, v in numbers.items()} | {"images": summary.count}
