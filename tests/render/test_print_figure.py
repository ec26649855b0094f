"""Comparisons at the width of a journal's column: everything inside, nothing over anything else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camviz.errors import RequestError
from camviz.render.color import DIVERGING, table
from camviz.render.print_backend import POINT, Ruled, Shown, Words, breadth
from camviz.render.print_figure import Cell, Gap, Row, Style, difference_limits, flowed, plate
from camviz.types import Image, Look
from tests.helpers.runs import saliency

LONG = "a_very_long_name_of_a_checkpoint_or_of_a_layer.blocks.11.norm1"


def row(sides: int, size=(400, 300), name="side", across=0, gaps=True) -> Row:
    image = Image(np.full((size[1], size[0], 3), 120, np.uint8))
    cells = tuple(Cell(f"{name}{i}", saliency(image, i), (f"{name} 97.2%", "max 3.1, min -2")) for i in range(sides))
    values = np.zeros((size[1], size[0]), np.float32)
    found = tuple(Gap(f"{name}{i} - {name}0", values, ("r 0.50", "IoU 0.20")) for i in range(1, sides)) if gaps else ()
    return Row(image, ("photo.jpg", "for: cat"), cells, found, across)


def boxes(figure) -> list[tuple[float, float, float, float]]:
    """(left, top, right, bottom) of images, and of words by their widths."""
    found = []
    for item in figure.items:
        if isinstance(item, Words):
            wide, high = breadth(item.words, item.size, ""), item.size * POINT
            left = item.x - {"start": 0, "middle": wide / 2, "end": wide}[item.anchor]
            found.append((left, item.y - 0.7 * high, left + wide, item.y + 0.2 * high))
        else:
            assert isinstance(item, Shown | Ruled)
            left, top, width, height = item.box
            found.append((left, top, left + width, top + height))
    return found


@pytest.mark.parametrize("width", [85, 180])
@pytest.mark.parametrize("sides", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(400, 300), (1000, 60), (60, 1000), (1, 1)])
@pytest.mark.parametrize("name", ["side", LONG, "猫猫猫"])
@pytest.mark.parametrize("scale", ["row", "image", "fixed:2"])
def test_nothing_leaves_the_figure_and_nothing_lies_over_anything(width, sides, size, name, scale):
    rows = [row(sides, size, name), row(sides, size, name)]
    figure = plate(rows, Look(scale=scale), Style(width), ("a caption " * 30,))
    found = boxes(figure)
    slack = 0.02
    for left, top, right, bottom in found:
        assert left >= -slack
        assert top >= -slack
        assert right <= figure.width + slack
        assert bottom <= figure.height + slack
    for number, one in enumerate(found):
        for other in found[number + 1 :]:
            across = min(one[2], other[2]) - max(one[0], other[0])
            down = min(one[3], other[3]) - max(one[1], other[1])
            assert across < slack or down < slack, (one, other)


def test_two_sides_have_their_difference_beside_them_more_have_it_below():
    def tops(sides):
        figure = plate([row(sides)], Look(scale="row"), Style())
        return sorted({round(item.box[1], 3) for item in figure.items if isinstance(item, Shown) and item.box[3] > 2.1})

    assert len(tops(2)) == 1
    assert len(tops(3)) == 2


def test_a_row_of_its_own_scale_has_its_own_bar():
    def bars(scale):
        figure = plate([row(2), row(2)], Look(scale=scale), Style())
        return sum(isinstance(item, Shown) and item.box[3] == 2.0 for item in figure.items)

    assert bars("row") == 4
    assert bars("fixed:3") == bars("run") == 2


def test_numbers_of_the_bars_are_those_of_the_scale():
    words = [item.words for item in plate([row(2)], Look(scale="fixed:3"), Style()).items if isinstance(item, Words)]
    assert words.count("3") == 2
    assert "-3" in words
    words = [item.words for item in plate([row(2)], Look(scale="image"), Style()).items if isinstance(item, Words)]
    assert "max" in words, "each map has its own: no number fits all"


def test_differences_have_the_colors_of_a_diverging_scale_and_none_where_nothing_was_seen():
    one = row(2)
    values = np.zeros((300, 400), np.float32)
    values[:, :100], values[:, 100:200], values[:, 300:] = 3, -3, np.nan
    one = replace(one, gaps=(replace(one.gaps[0], values=values),))
    figure = plate([one], Look(scale="fixed:3", alpha=1), Style())
    tile = next(item.pixels for item in reversed(figure.items) if isinstance(item, Shown) and item.box[3] > 5)
    width = tile.shape[1]
    assert tile[50, width // 8].tolist() == table(DIVERGING)[255].tolist()
    assert tile[50, 3 * width // 8].tolist() == table(DIVERGING)[0].tolist()
    assert tile[50, 5 * width // 8].tolist() == table(DIVERGING)[128].tolist()
    assert len(set(tile[50, 7 * width // 8].tolist())) == 1, "gray"


def test_limits_of_differences():
    assert difference_limits(Look(scale="fixed:2")) == (-2, 2)
    assert difference_limits(Look(scale="image")) == (-1, 1)
    assert difference_limits(Look(scale="fixed:0"))[1] > 0


def test_tiles_have_the_dots_of_the_print():
    figure = plate([row(2, (4000, 3000))], Look(scale="row"), Style(180, 300))
    [first, *_] = [item for item in figure.items if isinstance(item, Shown)]
    assert first.pixels.shape[1] == pytest.approx(first.box[2] / 25.4 * 300, abs=1)


@pytest.mark.parametrize("style", [Style(10), Style(2000), Style(180, 5), Style(180, 5000)])
def test_what_cannot_be_printed(style):
    with pytest.raises(RequestError):
        style.check()


def test_no_number_is_ever_cut():
    words = [item.words for item in plate([row(6)], Look(scale="row"), Style(85)).items if isinstance(item, Words)]
    assert "97.2%" in " ".join(words)
    assert " ".join(words).count("min -2") == 6
    assert not any("…" in one for one in words if any(letter.isdigit() for letter in one))


def test_words_flow():
    assert flowed(["cat", "", "dog"], 7, 50, "") == ["cat · dog"]
    assert flowed(["cat", "dog"], 7, 5, "") == ["cat", "dog"]
