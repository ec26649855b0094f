"""The font of every glyph, widths, wrapping."""

from __future__ import annotations

import logging

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from camviz.errors import RequestError
from camviz.render import fonts


@pytest.fixture
def square(tmp_path, monkeypatch):
    """A font with one glyph, a square for 犬, among the installed ones."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 800), (900, 800), (900, 0)):
        pen.lineTo(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "dog"])
    builder.setupCharacterMap({ord("犬"): "dog"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "dog": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "dog": (1000, 100)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Square", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path = tmp_path / "square.ttf"
    builder.save(path)
    monkeypatch.setattr(fonts, "_CJK", ())
    monkeypatch.setattr(fonts, "_reported", set())
    monkeypatch.setattr(fonts, "_installed", lambda: [str(path)])
    fonts._font_of.cache_clear()
    yield str(path)
    fonts._font_of.cache_clear()


def test_a_text_is_split_by_the_fonts_that_have_its_glyphs(square):
    runs = fonts.runs("a 犬犬 b −×…")
    assert [(run.text, run.font == square) for run in runs] == [("a ", False), ("犬犬 ", True), ("b −×…", False)]
    assert fonts.width("犬犬", 10) == pytest.approx(20 * fonts.POINT, rel=0.02)


def test_a_glyph_that_no_font_has_is_reported_once(square, caplog):
    with caplog.at_level(logging.WARNING, "camviz"):
        fonts.runs("猫猫")
        fonts.runs("猫")
    assert [record.getMessage().count("U+732B") for record in caplog.records] == [1]


def test_widths_add_up():
    assert fonts.width("", 7) == 0
    assert fonts.width("ab", 14) == pytest.approx(2 * fonts.width("ab", 7))
    assert fonts.width("mm", 7) > fonts.width("ii", 7)


@pytest.mark.parametrize("room", [3, 10, 30])
@pytest.mark.parametrize("side", ["left", "middle"])
def test_shortened_texts_fit(room, side):
    text = "features.denseblock4.denselayer16.conv2"
    short = fonts.shorten(text, 7, room, side=side)
    assert fonts.width(short, 7) <= room
    assert short.endswith(text[-1]) or len(short) <= 1
    assert fonts.shorten("ab", 7, 30) == "ab"


def test_parts_share_lines_and_long_ones_are_broken_at_spaces():
    words = "a part of many words that is too long for a line"
    lines = fonts.wrap(["one part", "another part", words], 7, 30)
    assert all(fonts.width(line, 7) <= 30 for line in lines)
    assert " ".join(lines).replace(" · ", " ") == f"one part another part {words}"
    assert fonts.wrap(["58.8 %"], 7, fonts.width("58.8", 7)) != ["58.8", "%"], "a number keeps its percent sign"


def test_control_characters_and_broken_names_are_cleaned():
    assert fonts.clean("a\nb\tc\x00") == "a b c "
    assert fonts.clean("caf\udce9") == "caf?"


@pytest.mark.parametrize("font", ["NoSuchFont", "gone.ttf"])
def test_fonts_that_are_not_there(font):
    with pytest.raises(RequestError, match=font):
        fonts.check_font(font)
    fonts.check_font("DejaVu Sans")
