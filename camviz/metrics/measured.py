"""What was measured of one image, as plain values that a database can keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from camviz.metrics.statistics import Row


@dataclass(frozen=True, eq=False)
class Measured:
    """The rows of one image; `cases` counts its targets, `without_truth` those without ground truth in view.

    `left`: by metric the share of the score that each target keeps without any of the image's pixels.
    """

    rows: list[Row]
    left: dict[str, list[float]] = field(default_factory=dict)
    cases: int = 0
    without_truth: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; the name of the image is not among them."""
        rows = [
            {
                "label": row.target,
                "method": row.method,
                "layer": row.layer,
                "values": {metric: np.atleast_1d(values).tolist() for metric, values in row.values.items()},
            }
            for row in self.rows
        ]
        return {"rows": rows, "left": self.left, "cases": self.cases, "without_truth": self.without_truth}

    @classmethod
    def from_dict(cls, image: str, values: dict[str, Any]) -> Measured:
        """Return what `to_dict` gave; None stands for NaN."""
        rows = [
            Row(image, row["label"], row["method"], row["layer"], {k: _array(v) for k, v in row["values"].items()})
            for row in values["rows"]
        ]
        return cls(rows, values["left"], values["cases"], values["without_truth"])


def _array(values: list[float | None]) -> Any:
    return np.array([np.nan if value is None else value for value in values], np.float64)
