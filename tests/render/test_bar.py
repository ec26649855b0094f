"""Numbers and place of a color bar."""

from __future__ import annotations

import pytest

from camviz.render.bar import Bar
from camviz.render.color import Limits
from camviz.render.sheet import Row, Sheet, arrange
from camviz.types import Style
from tests.helpers.sheets import BAR, pictures, texts, tile


def test_bars_have_the_numbers_of_their_scale():
    for sheet in (Sheet((Row((tile(),), bars=(BAR,)),)), Sheet((Row((tile(),)),), bar=BAR)):
        found = texts(arrange(sheet, Style(85)))
        assert {"0", "61.7", "123", BAR.label} <= set(found)
    signed = Bar(Limits(-2, 2), "coolwarm", "both")
    assert {"−2", "0", "2"} <= set(texts(arrange(Sheet((Row((tile(),)),), bar=signed), Style(85))))


def test_a_bar_spans_its_columns():
    bar = Bar(Limits(0, 1), "viridis", first=1, last=2)
    page = arrange(Sheet((Row((tile(), tile(), tile(), tile()), bars=(bar,)),)), Style(100))
    boxes = [picture.box for picture in pictures(page)]
    left, _, width, _ = boxes[-1]
    assert left == pytest.approx(boxes[1][0])
    assert left + width == pytest.approx(boxes[2][0] + boxes[2][2])
