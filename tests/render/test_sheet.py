"""Layout of composed figures in millimeters."""

from __future__ import annotations

import itertools

import pytest

from camviz.render.sheet import MARGIN, WIDEST, Row, Sheet, Words, arrange, table
from camviz.types import Style
from tests.helpers.pages import check_page
from tests.helpers.sheets import BAR, pictures, texts, tile

LONG = "features.denseblock4.denselayer16.conv2." * 4


@pytest.mark.parametrize("width", [0, 85, 180])
@pytest.mark.parametrize("size", [(60, 40), (1000, 60), (60, 1000), (1, 1)])
@pytest.mark.parametrize("words", ["zebra", LONG, "a name of several words that has to be wrapped more than once"])
@pytest.mark.parametrize("across", [1, 4])
def test_nothing_leaves_the_page_and_nothing_overlaps(width, size, words, across):
    row = Row(tuple(tile(*size, words, words, "max 3.1") for _ in range(across)), words, (BAR,))
    for bar in (None, BAR):
        sheet = Sheet((row, Row((None, *row.tiles[1:])), row), words, (words, "a fact"), bar)
        check_page(arrange(sheet, Style(width)))


def test_tiles_are_in_equal_columns_with_a_margin_around():
    page = arrange(Sheet((Row((tile(), tile(), None)), Row((None, tile(), tile())))), Style(100))
    first, second, third, fourth = (picture.box for picture in pictures(page))
    assert page.width == 100
    assert first[0] == MARGIN
    assert second[0] == third[0]
    assert fourth[0] + fourth[2] == pytest.approx(100 - MARGIN)
    assert {round(box[2], 6) for box in (first, second, third, fourth)} == {round(first[2], 6)}
    assert first[2] / first[3] == pytest.approx(1.5)


def test_a_figure_is_as_wide_as_its_content_needs():
    assert arrange(Sheet((Row((tile(),) * 8),)), Style()).width == WIDEST
    narrow = arrange(Sheet((Row((tile(20, 400), tile(20, 400))),)), Style())
    assert narrow.width < 80, "tall tiles need narrow columns"
    assert arrange(Sheet((Row((tile(20, 400),)),)), Style(180)).width == 180


def test_titles_stand_above_and_notes_below_in_the_middle_of_their_tile():
    page = arrange(Sheet((Row((tile(60, 40, "title", "note"), tile())),)), Style(100))
    [left, top, width, height] = pictures(page)[0].box
    title, note = (item for item in page.items if isinstance(item, Words))
    assert (title.text, note.text) == ("title", "note")
    assert title.x == note.x == pytest.approx(left + width / 2)
    assert title.y < top < top + height < note.y


def test_notes_share_a_line_where_they_fit():
    assert "a · b" in texts(arrange(Sheet((Row((tile(60, 40, "", "a", "b"),)),)), Style(85)))
    assert "a" in texts(arrange(Sheet((Row((tile(60, 40, "", "a", LONG),)),)), Style(85)))


def test_titles_that_repeat_are_written_once():
    row = Row((tile(60, 40, "same"), tile(60, 40, "other")))
    assert texts(arrange(Sheet((row, row)), Style(100))).count("same") == 1


@pytest.mark.parametrize("count", [1, 2, 5, 16, 48, 64])
@pytest.mark.parametrize("first", [None, tile(40, 40, "", "input")])
def test_a_table_holds_every_tile_once_and_wastes_little(count, first):
    tiles = [tile(7, 7, "", f"ch {number} · 4.7 %") for number in range(count)]
    rows = table(tiles, Style(), first)
    found = [each for row in rows for each in row.tiles if each and each is not first]
    assert found == tiles
    assert len({len(row.tiles) for row in rows}) == 1
    holes = sum(each is None for row in rows for each in row.tiles[1 if first else 0 :])
    assert holes <= 0.2 * count
    page = arrange(Sheet(rows), Style())
    check_page(page)
    assert page.height < 2 * WIDEST


def test_labels_of_a_table_stay_whole():
    tiles = [tile(7, 7, "", f"ch {number} · 4.7 %") for number in range(100)]
    for width in (85, 180):
        assert not any("…" in text for text in texts(arrange(Sheet(table(tiles, Style(width))), Style(width))))


def test_rows_are_below_each_other():
    page = arrange(Sheet(tuple(Row((tile(60, 40, f"row {number}", "note"),)) for number in range(4))), Style(60))
    for above, below in itertools.pairwise(pictures(page)):
        assert below.box[1] > above.box[1] + above.box[3]
