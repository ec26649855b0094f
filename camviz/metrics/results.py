"""What was measured: one row per image, target, method and layer; means, intervals, ranks."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from camviz.metrics import Measure
from camviz.metrics.baselines import BASELINES

Values = NDArray[np.float64]
_DIGITS = 4  # means that agree in so many are equal: methods that are the same differ by rounding
RANKED = ("faithfulness", "localization")


@dataclass(frozen=True, eq=False)
class Row:
    """The numbers of one map by metric; a metric whose threshold is chosen afterwards has one per threshold."""

    image: str
    target: str
    method: str
    layer: str
    values: dict[str, Values]


@dataclass(frozen=True)
class Summary:
    """A mean over images and its 95 % interval; `count` images have a value. NaN where none has."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Standing:
    """A method at a layer among all: its mean rank over the metrics, and how often a resample puts it first."""

    method: str
    layer: str
    rank: float
    wins: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All rows of one model. Prints as tables; `summary`, `ranking`, `to_csv` and `to_json` give the numbers."""

    model: str
    measures: Sequence[Measure]
    rows: Sequence[Row] = field(repr=False)
    resamples: int = 1000
    seed: int = 0
    notes: Sequence[str] = ()

    @cached_property
    def names(self) -> list[tuple[str, str]]:
        """Methods and layers in the order of the maps, the baselines last."""
        found = dict.fromkeys((row.method, row.layer) for row in self.rows)
        return sorted(found, key=lambda name: BASELINES.index(name[0]) + 1 if name[0] in BASELINES else 0)

    @cached_property
    def images(self) -> list[str]:
        """Names of the images that were measured."""
        return list(dict.fromkeys(row.image for row in self.rows))

    @cached_property
    def _weights(self) -> Values:
        """How often each image is drawn: all once, then every resample. (1 + resamples, images)."""
        count = len(self.images)
        drawn = np.random.default_rng(self.seed).multinomial(count, np.full(count, 1 / count), self.resamples)
        return np.vstack([np.ones((1, count)), drawn])

    @cached_property
    def _means(self) -> dict[tuple[str, str, str], tuple[Values, int, int]]:
        """By method, layer and metric: means (1 + resamples,), the images they are of, the threshold chosen."""
        place = {name: number for number, name in enumerate(self.images)}
        grouped: dict[tuple[str, str], list[Row]] = {name: [] for name in self.names}
        for row in self.rows:
            grouped[row.method, row.layer].append(row)
        found = {}
        for (method, layer), rows in grouped.items():
            where = np.array([place[row.image] for row in rows])
            for measure in self.measures:
                values = np.stack([np.atleast_1d(row.values[measure.name]) for row in rows])  # (rows, t)
                found[method, layer, measure.name] = self._mean(values, where, measure.sign)
        return found

    def _mean(self, values: Values, where: NDArray[np.intp], sign: int) -> tuple[Values, int, int]:
        there = np.isfinite(values).all(1)
        sums, counts = np.zeros((len(self.images), values.shape[1])), np.zeros(len(self.images))
        np.add.at(sums, where[there], values[there])
        np.add.at(counts, where[there], 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (self._weights @ sums) / (self._weights @ counts)[:, None]
        chosen = int(np.argmax(sign * means[0])) if there.any() else 0
        best = sign * (sign * means).max(1)  # of a resample, too, the threshold is its own best
        return best, int((counts > 0).sum()), chosen

    def summary(self, method: str, layer: str, metric: str) -> Summary:
        """Mean and interval: percentiles of the means of resampled images."""
        means, count, _ = self._means[method, layer, metric]
        resampled = means[1:][np.isfinite(means[1:])]
        if not count or not len(resampled):
            return Summary(float(means[0]), np.nan, np.nan, count)
        low, high = np.percentile(resampled, [2.5, 97.5])
        return Summary(float(means[0]), float(low), float(high), count)

    def best(self, metric: str) -> set[tuple[str, str]]:
        """Which methods and layers have the best mean; none where all have the same. Baselines do not compete."""
        [sign] = [measure.sign for measure in self.measures if measure.name == metric]
        names = [name for name in self.names if name[0] not in BASELINES]
        means = {name: round(sign * self._means[*name, metric][0][0], _DIGITS) for name in names}
        highest = np.nanmax([*means.values(), -np.inf])
        first = {name for name, mean in means.items() if mean == highest}
        return first if len(first) < len(means) or len(means) == 1 else set()

    def ranking(self) -> list[Standing]:
        """All methods and layers by their mean rank over the metrics of faithfulness and localization, best first.

        A metric that no image has a value for does not count; baselines do not compete.
        """
        names = [name for name in self.names if name[0] not in BASELINES]
        columns = []
        for measure in self.measures:
            means = np.stack([measure.sign * self._means[*name, measure.name][0] for name in names])
            if measure.family in RANKED and np.isfinite(means[:, 0]).all():
                columns.append(_places(np.nan_to_num(means, nan=-np.inf).round(_DIGITS)))
        if not columns:
            return []
        ranks = np.mean(columns, 0)  # (names, 1 + resamples)
        first = ranks[:, 1:] == ranks[:, 1:].min(0)
        wins = (first / first.sum(0)).mean(1) if self.resamples else np.full(len(names), np.nan)
        standings = [
            Standing(*name, float(rank), float(win)) for name, rank, win in zip(names, ranks[:, 0], wins, strict=True)
        ]
        return sorted(standings, key=lambda one: (one.rank, -one.wins))

    # telling

    def facts(self) -> list[dict[str, Any]]:
        """One dict per method and layer, ready for JSON."""
        places = {(one.method, one.layer): (number + 1, one) for number, one in enumerate(self.ranking())}
        listed = []
        for name in self.names:
            numbers = {measure.name: _rounded(self.summary(*name, measure.name)) for measure in self.measures}
            fact = {
                "model": self.model,
                "method": name[0],
                "layer": name[1],
                "baseline": name[0] in BASELINES,
                **numbers,
            }
            if name in places:
                number, standing = places[name]
                fact |= {"place": number, "mean_rank": round(standing.rank, 3), "wins": round(standing.wins, 3)}
            listed.append(fact)
        return listed

    def to_json(self) -> str:
        """One object per line: a method at a layer, its means and intervals."""
        return "\n".join(json.dumps(fact, ensure_ascii=False) for fact in self.facts())

    def to_csv(self) -> str:
        """One line per method, layer and metric: mean, interval, number of images."""
        lines = []
        for name in self.names:
            for measure in self.measures:
                found = _rounded(self.summary(*name, measure.name))
                lines.append([self.model, *name, measure.name, *("" if v is None else v for v in found.values())])
        return _csv(["model", "method", "layer", "metric", "mean", "low", "high", "images"], lines)

    def rows_csv(self) -> str:
        """One line per image, target, method and layer, one column per metric; at the threshold chosen for all."""
        header = ["image", "target", "method", "layer", *(measure.name for measure in self.measures)]
        lines: list[list[Any]] = []
        for row in self.rows:
            cells = []
            for measure in self.measures:
                chosen = self._means[row.method, row.layer, measure.name][2]
                value = np.atleast_1d(row.values[measure.name])[chosen]
                cells.append(f"{value:.6g}" if np.isfinite(value) else "")
            lines.append([row.image, row.target, row.method, row.layer, *cells])
        return _csv(header, lines)

    def __str__(self) -> str:
        from camviz.metrics.table import text

        return "\n".join([text(self), *(f"note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        from camviz.metrics.table import html

        return html(self)


def _places(values: Values) -> Values:
    """Ranks down the first axis, 1 for the largest; equal values share their mean rank."""
    higher = (values[None] > values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    return np.asarray(higher + (equal + 1) / 2)


def _rounded(found: Summary) -> dict[str, Any]:
    """JSON has no NaN."""
    numbers = {"mean": found.mean, "low": found.low, "high": found.high}
    return {key: round(v, 6) if np.isfinite(v) else None for key, v in numbers.items()} | {"images": found.count}


def _csv(header: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return buffer.getvalue()
