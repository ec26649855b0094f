"""Statistics of measured rows: means, bootstrap intervals and ranks over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from camviz.metrics import Measure
from camviz.metrics.baselines import BASELINES

Values = NDArray[np.float64]
_DIGITS = 4  # means that agree to so many digits are ties: identical methods differ by rounding
RANKED = ("faithfulness", "localization")


@dataclass(frozen=True, eq=False)
class Row:
    """The values of one map by metric; one per threshold for metrics whose threshold is chosen afterwards."""

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
    """A method at a layer: its mean rank over the metrics, and the fraction of resamples in which it is first."""

    method: str
    layer: str
    rank: float
    wins: float


@dataclass(frozen=True, eq=False)
class Statistics:
    """The rows of one model with their statistics; the bootstrap draws `resamples` sets of images."""

    model: str
    measures: Sequence[Measure]
    rows: Sequence[Row] = field(repr=False)
    resamples: int = 1000
    seed: int = 0
    notes: Sequence[str] = ()

    @cached_property
    def names(self) -> list[tuple[str, str]]:
        """Methods and layers in the order of the maps, the baselines last."""
        names = dict.fromkeys((row.method, row.layer) for row in self.rows)
        return sorted(names, key=lambda name: BASELINES.index(name[0]) + 1 if name[0] in BASELINES else 0)

    @cached_property
    def images(self) -> list[str]:
        """The names of the measured images."""
        return list(dict.fromkeys(row.image for row in self.rows))

    @cached_property
    def _weights(self) -> Values:
        """How often each image is drawn: once each, then in every resample. (1 + resamples, images)."""
        count = len(self.images)
        drawn = np.random.default_rng(self.seed).multinomial(count, np.full(count, 1 / count), self.resamples)
        return np.vstack([np.ones((1, count)), drawn])

    @cached_property
    def _means(self) -> dict[tuple[str, str, str], tuple[Values, int, int]]:
        """By method, layer and metric: means (1 + resamples,), the number of images, the index of the threshold."""
        numbers = {name: number for number, name in enumerate(self.images)}
        grouped: dict[tuple[str, str], list[Row]] = {name: [] for name in self.names}
        for row in self.rows:
            grouped[row.method, row.layer].append(row)
        means = {}
        for (method, layer), rows in grouped.items():
            images = np.array([numbers[row.image] for row in rows])
            for measure in self.measures:
                values = np.stack([np.atleast_1d(row.values[measure.name]) for row in rows])  # (rows, t)
                means[method, layer, measure.name] = self._mean(values, images, measure.sign)
        return means

    def _mean(self, values: Values, images: NDArray[np.intp], sign: int) -> tuple[Values, int, int]:
        finite = np.isfinite(values).all(1)
        sums, counts = np.zeros((len(self.images), values.shape[1])), np.zeros(len(self.images))
        np.add.at(sums, images[finite], values[finite])
        np.add.at(counts, images[finite], 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (self._weights @ sums) / (self._weights @ counts)[:, None]
        chosen = int(np.argmax(sign * means[0])) if finite.any() else 0
        best = sign * (sign * means).max(1)  # every resample uses its own best threshold
        return best, int((counts > 0).sum()), chosen

    def summary(self, method: str, layer: str, metric: str) -> Summary:
        """Return the mean over images and its 95 % bootstrap interval."""
        means, count, _ = self._means[method, layer, metric]
        resampled = means[1:][np.isfinite(means[1:])]
        if not count or not len(resampled):
            return Summary(float(means[0]), np.nan, np.nan, count)
        low, high = np.percentile(resampled, [2.5, 97.5])
        return Summary(float(means[0]), float(low), float(high), count)

    def best(self, metric: str) -> set[tuple[str, str]]:
        """Return the methods and layers with the best mean, without baselines; none if all means are equal."""
        [sign] = [measure.sign for measure in self.measures if measure.name == metric]
        names = [name for name in self.names if name[0] not in BASELINES]
        means = {name: round(sign * self._means[*name, metric][0][0], _DIGITS) for name in names}
        highest = np.nanmax([*means.values(), -np.inf])
        first = {name for name, mean in means.items() if mean == highest}
        return first if len(first) < len(means) or len(means) == 1 else set()

    def ranking(self) -> list[Standing]:
        """Return methods and layers by their mean rank over faithfulness and localization metrics, best first.

        Metrics without a value are ignored, and so are the baselines.
        """
        names = [name for name in self.names if name[0] not in BASELINES]
        columns = []
        for measure in self.measures:
            means = np.stack([measure.sign * self._means[*name, measure.name][0] for name in names])
            if measure.family in RANKED and np.isfinite(means[:, 0]).all():
                columns.append(_ranks(np.nan_to_num(means, nan=-np.inf).round(_DIGITS)))
        if not columns:
            return []
        ranks = np.mean(columns, 0)  # (names, 1 + resamples)
        first = ranks[:, 1:] == ranks[:, 1:].min(0)
        wins = (first / first.sum(0)).mean(1) if self.resamples else np.full(len(names), np.nan)
        standings = [
            Standing(*name, float(rank), float(win)) for name, rank, win in zip(names, ranks[:, 0], wins, strict=True)
        ]
        return sorted(standings, key=lambda standing: (standing.rank, -standing.wins))


def _ranks(values: Values) -> Values:
    """Return ranks along the first axis, 1 for the largest, ties at their mean rank."""
    higher = (values[None] > values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    return np.asarray(higher + (equal + 1) / 2)
