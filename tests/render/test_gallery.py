"""Every type of figure for every kind of image and name: nothing overlaps, leaves the page, or is too small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from camviz.render import paper
from camviz.render.sheet import Page
from camviz.types import Style
from tests.helpers.pages import check_page
from tools.gallery import CONDITIONS, all_figures, contact_sheet

STYLE = Style(dpi=40)


@pytest.fixture
def pages(monkeypatch) -> list[Page]:
    """The pages of all composed figures."""
    seen: list[Page] = []
    arrange = paper.arrange

    def spy(*arguments: Any) -> Page:
        seen.append(arrange(*arguments))
        return seen[-1]

    monkeypatch.setattr(paper, "arrange", spy)
    return seen


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_figure_is_whole_and_readable(name: str, pages: list[Page]) -> None:
    figures = list(all_figures(CONDITIONS[name], STYLE))
    assert len({kind for kind, _ in figures}) >= 20
    assert len(pages) >= len(figures) - 3, "all but the plain overlays are composed"
    for page in pages:
        check_page(page)
    assert contact_sheet(figures).shape[1] > 1000


@pytest.mark.parametrize("width", [85.0, 180.0])
def test_every_figure_fits_the_width_of_a_journal(width: float, pages: list[Page]) -> None:
    list(all_figures(CONDITIONS["12-tiles"], Style(width, 40)))
    for page in pages:
        assert page.width == width
        check_page(page)


def test_every_figure_is_the_same_twice() -> None:
    first, second = (list(all_figures(CONDITIONS["1-tile"], STYLE)) for _ in range(2))
    for (kind, figure), (_, again) in zip(first, second, strict=True):
        np.testing.assert_array_equal(figure.pixels, again.pixels, err_msg=kind)
