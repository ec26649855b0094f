"""The sheets that figures are composed of, and the pixels of their tiles."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from camviz.render.paper import compose
from camviz.render.sheet import Sheet


def composed(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[Sheet]:
    """Return a list that gets every sheet that `module` composes."""
    seen: list[Sheet] = []

    def spy(kind, sheet, *rest):
        seen.append(sheet)
        return compose(kind, sheet, *rest)

    monkeypatch.setattr(module, "compose", spy)
    return seen


def tiles(sheets: list[Sheet]) -> list[np.ndarray]:
    """Return the pixels of all tiles of the last sheet, row by row."""
    return [tile.pixels for row in sheets[-1].rows for tile in row.tiles if tile]
