"""What a method found in a batch, before it is known which picture is which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Kind = tuple[str, str, int]  # method, layer, part


@dataclass(frozen=True, eq=False)
class Found:
    """One map of every picture of a batch: values (n, h, w), and what tells it from the others."""

    method: str
    layer: str
    values: NDArray[np.float32]
    facts: list[dict[str, Any]]
    facets: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """Method, layer, and the part of a method that gives several."""
        return self.method, self.layer, int(self.facts[0].get("part", 0)) if self.facts else 0
