"""The sheets that figures are composed of, and the pixels of their tiles."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from camviz.render.bar import Bar
from camviz.render.color import Limits
from camviz.render.paper import compose
from camviz.render.sheet import Page, Picture, Sheet, Tile, Words

BAR = Bar(Limits(0, 123.4), "viridis", label="Grad-CAM, score units")


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


def tile(width: int = 60, height: int = 40, title: str = "", *notes: str) -> Tile:
    """Return a gray tile."""
    return Tile(np.full((height, width, 3), 120, np.uint8), title, notes)


def pictures(page: Page) -> list[Picture]:
    """Return the pictures of a page."""
    return [item for item in page.items if isinstance(item, Picture)]


def texts(page: Page) -> list[str]:
    """Return the texts of a page."""
    return [item.text for item in page.items if isinstance(item, Words)]
