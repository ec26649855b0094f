"""Figures for print: the same places in pixels, SVG and PDF, and words that stay words."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from camviz.errors import RequestError
from camviz.render.print_backend import (
    INCH,
    Plate,
    Ruled,
    Shown,
    Words,
    breadth,
    check_font,
    font_of,
    png,
    shorten,
    to_pdf,
    to_pixels,
    to_svg,
)

RED = np.full((10, 20, 3), (200, 0, 0), np.uint8)
FIGURE = Plate(
    25.4, 12.7, (Shown((0, 0, 12.7, 6.35), RED), Ruled((20, 10, 2, 1), (0, 0, 255)), Words(1, 12, "cat — 猫 & dog", 7))
)
NS = "{http://www.w3.org/2000/svg}"


def test_millimetres_become_pixels():
    drawn = to_pixels(FIGURE, 100)
    assert drawn.shape == (50, 100, 3)
    red = (drawn == (200, 0, 0)).all(2).nonzero()
    assert (red[0].min(), red[0].max(), red[1].min(), red[1].max()) == (0, 24, 0, 49)
    blue = (drawn == (0, 0, 255)).all(2).nonzero()
    assert (blue[1].min(), blue[1].max()) == (round(20 / INCH * 100), round(22 / INCH * 100) - 1)


def test_a_png_knows_its_size_on_paper():
    assert Image.open(io.BytesIO(png(RED, 300))).info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_svg_has_the_words_as_text_and_the_pixels_exact():
    root = ElementTree.fromstring(to_svg(FIGURE))
    assert root.get("width") == "25.400mm"
    [words] = root.iter(f"{NS}text")
    assert words.text == "cat — 猫 & dog"
    family, style = font_of(words.text, 16, "").getname()
    assert words.get("font-family").startswith(f"'{family}', ")
    assert style not in words.get("font-family")
    [image] = root.iter(f"{NS}image")
    import base64

    data = base64.b64decode(image.get("href").partition(",")[2])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), RED)


def test_pdf_has_pages_of_the_figures_size_embedded_fonts_and_is_the_same_every_time():
    pytest.importorskip("fpdf", reason="pip install fpdf2")
    plain = Plate(85, 40, (Words(1, 12, "cat 97.2%", 7), Shown((0, 0, 10, 5), RED)))
    data = to_pdf([plain, plain])
    assert len(re.findall(rb"/MediaBox \[0 0 240.94 113.39\]", data)) == 2
    assert b"/FontFile" in data
    assert to_pdf([plain]) == to_pdf([plain])


def test_words_are_shortened_to_their_room():
    long = "a name that is much too long for a tile.jpg"
    short = shorten(long, 7, 20, "")
    assert breadth(short, 7, "") <= 20
    assert "…" in short
    assert short.endswith("jpg")
    assert shorten("cat", 7, 20, "") == "cat"
    assert shorten("cat", 7, 0.1, "") == ""


def test_letters_at_seven_points_have_the_width_of_print():
    assert 6 < breadth("n" * 5, 7, "") < 9  # mm; an n is half an em or so wide


@pytest.mark.parametrize("font", ["NoSuchFont", "missing.ttf"])
def test_a_font_that_is_not_there(font):
    with pytest.raises(RequestError, match=font):
        check_font(font)
    check_font("")
