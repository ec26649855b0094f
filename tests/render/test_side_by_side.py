"""Sides beside each other with differences on their own scale."""

from __future__ import annotations

import numpy as np
import pytest

from camviz.render.color import Limits
from camviz.render.sheet import Picture, Words, arrange
from camviz.render.side_by_side import Cell, Difference, Group, side_by_side
from camviz.types import Image, Look, Style
from tests.helpers.pages import check_page
from tests.helpers.runs import saliency

LONG = "a_very_long_name_of_a_checkpoint_or_of_a_layer.blocks.11.norm1"


def group(sides: int, size=(400, 300), name="side", across=0, differences=True, reach=1.0) -> Group:
    image = Image(np.full((size[1], size[0], 3), 120, np.uint8))
    cells = tuple(Cell(f"{name}{i}", saliency(image, i), (f"{name} 97.2 %",)) for i in range(sides))
    values = np.full((size[1], size[0]), -reach, np.float32)
    gaps = [Difference(f"{name}{i} − {name}0", values * i, ("r = 0.50", "IoU = 0.20")) for i in range(1, sides)]
    return Group(image, ("photo.jpg", "target: cat"), cells, tuple(gaps) if differences else (), across)


@pytest.mark.parametrize("width", [85, 180])
@pytest.mark.parametrize("sides", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(40, 30), (100, 6), (6, 100), (1, 1)])
@pytest.mark.parametrize("name", ["side", LONG, "猫猫猫"])
@pytest.mark.parametrize("scale", ["row", "image", "fixed:2"])
def test_nothing_leaves_the_figure_and_nothing_overlaps(width, sides, size, name, scale):
    groups = [group(sides, size, name), group(sides, size, name)]
    style = Style(width, 60)
    check_page(arrange(side_by_side(groups, Look(scale=scale), style, ("a caption " * 30,)), style))


def bars(scale: str, groups: int = 2) -> list[Picture]:
    style = Style(180, 60)
    page = arrange(side_by_side([group(2)] * groups, Look(scale=scale), style), style)
    return [item for item in page.items if isinstance(item, Picture) and item.pixels.shape[0] == 1]


def test_a_row_of_its_own_scale_has_its_own_bars():
    assert len(bars("row")) == 4
    assert len(bars("fixed:3")) == len(bars("run")) == 2


def test_two_sides_have_their_difference_beside_them_more_have_it_below():
    for sides, rows in ((2, 1), (3, 2), (6, 2)):
        assert len(side_by_side([group(sides)], Look(scale="row"), Style(180, 60)).rows) == rows


def test_differences_have_their_own_symmetric_scale():
    """A difference a hundred times weaker than the maps is as visible as a strong one."""
    weak, strong = (side_by_side([group(2, reach=reach)], Look(scale="row"), Style(180, 60)) for reach in (0.01, 100.0))
    first, second = (sheet.rows[0].tiles[-1].pixels for sheet in (weak, strong))
    np.testing.assert_array_equal(first, second)
    assert first[20, 20, 2] > first[20, 20, 0] + 60, "blue: less than the first side"
    [limits] = {sheet.rows[0].bars[-1].within for sheet in (weak,)}
    assert limits == pytest.approx(Limits(-0.01, 0.01))


def test_each_side_normalized_to_its_own_maximum_has_a_relative_bar():
    style = Style(180, 60)
    page = arrange(side_by_side([group(2)], Look(scale="image"), style), style)
    assert "max" in [item.text for item in page.items if isinstance(item, Words)]


def test_a_strip_is_wrapped():
    sheet = side_by_side([group(7, across=3, differences=False)], Look(scale="row"), Style(85, 60))
    assert [sum(tile is not None for tile in row.tiles) for row in sheet.rows] == [4, 3, 1]


def test_where_there_is_no_difference_the_image_is_gray():
    values = np.zeros((30, 40), np.float32)
    values[:, 20:] = np.nan
    values[0, 0] = 1
    [cells] = [group(2, (40, 30)).cells]
    each = Group(cells[0].map.image, (), cells, (Difference("gap", values),))
    tile = side_by_side([each], Look(scale="row"), Style(180, 60)).rows[0].tiles[-1].pixels
    assert (np.ptp(tile[:, -10:].astype(int), axis=2) <= 1).all()
