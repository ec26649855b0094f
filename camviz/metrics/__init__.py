"""Metrics: how faithful maps are. Each is one decorated function from a `Case` to one number per map.

A metric takes a case (one image, one target, k maps) and returns (k,), or (k, t) for t thresholds of which the best
one over all images is chosen afterwards. NaN: not defined for this image. Facts:

family   "faithfulness", "localization", "robustness", "sanity" or "sparsity"
paper    its reference
better   "higher" or "lower"
needs    "forwards", "truth", "new maps" or "nothing"
measured "by name" for a metric that no family contains
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from camviz.errors import unknown
from camviz.registry import Choice, Entry, Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from camviz.metrics.case import Case

Metric = Callable[..., "NDArray[np.float64]"]
METRICS: Registry[Metric] = Registry("metric", __name__, listing="'camviz evaluate --list'")


def _of_family(family: str, entry: Entry[Any]) -> bool:
    return entry.facts["family"] == family and "measured" not in entry.facts


FAMILIES = ("faithfulness", "localization", "sparsity", "robustness", "sanity")
GROUPS: dict[str, Callable[[Entry[Any]], bool]] = {
    "all": lambda entry: "measured" not in entry.facts,
    **{name: partial(_of_family, name) for name in FAMILIES},
}


@dataclass(frozen=True, eq=False)
class Measure(Choice[Metric]):
    """A metric with its settings. A metric that was chosen by a group is skipped without ground truth."""

    @property
    def family(self) -> str:
        """The family of the metric."""
        return self.entry.facts["family"]

    @property
    def sign(self) -> int:
        """1 if higher is better, -1 if lower is."""
        return 1 if self.entry.facts["better"] == "higher" else -1

    def __call__(self, case: Case) -> NDArray[np.float64]:
        return self.entry.call(case, **self.settings)


def choose(names: Sequence[str] = ("all",), settings: Sequence[tuple[str, str]] = ()) -> list[Measure]:
    """Return the metrics for names and families, with their settings: ("pointing.tolerance", "15")."""
    entries = METRICS.select(names, GROUPS)
    values: dict[str, dict[str, Any]] = {name: {} for name in entries}
    for key, text in settings:
        metric = METRICS.match(key.rpartition(".")[0]) or key.rpartition(".")[0]
        if metric not in entries:
            raise unknown("metric", metric, entries, "the metrics of this command")
        setting, value = METRICS.typed(metric, key, text, METRICS.listing)
        values[metric][setting] = value
    chosen = [Measure(METRICS.find(name), values[name], optional) for name, optional in entries.items()]
    return sorted(chosen, key=lambda measure: FAMILIES.index(measure.family))


def split_settings(pairs: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return (settings of methods, settings of metrics): those whose prefix is the name of a metric."""
    metric_settings = [(key, text) for key, text in pairs if key.rpartition(".")[0] in METRICS]
    return [pair for pair in pairs if pair not in metric_settings], metric_settings
