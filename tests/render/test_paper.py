"""Pages as pixels, PDF and SVG."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from camviz.errors import RequestError
from camviz.render import encode
from camviz.render.bar import Bar
from camviz.render.color import Limits
from camviz.render.paper import INCH, check_style, compose, to_pixels
from camviz.render.sheet import Picture, Row, Sheet, Tile, arrange
from camviz.types import Look, Style
from tests.helpers.pages import LEAST, pdf_texts

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
SHEET = Sheet(
    (Row((Tile(PIXELS, "Input", ("photo.jpg",)), Tile(PIXELS, "Ours − before", ("r = 0.88",)))),),
    caption=("Grad-CAM · layer4", "resnet50"),
    bar=Bar(Limits(-1, 1), "coolwarm", "both", "difference"),
)


def test_pictures_keep_their_pixels_in_their_place():
    style = Style(85)
    page = arrange(SHEET, style)
    pixels, dpi = to_pixels(page, style)
    assert pixels.shape[:2] == (round(page.height / INCH * 300), round(85 / INCH * 300))
    left, top, width, height = next(item for item in page.items if isinstance(item, Picture)).box
    x, y = (np.arange(60) + 0.5) / 60 * width + left, (np.arange(40) + 0.5) / 40 * height + top
    rows, columns = (y * dpi / INCH).astype(int), (x * dpi / INCH).astype(int)
    np.testing.assert_array_equal(pixels[rows][:, columns], PIXELS)


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "pdf", "svg"])
def test_the_same_figure_has_the_same_bytes(format):
    first, second = (compose("panel", SHEET, format, Style(85), title="photo.jpg") for _ in range(2))
    assert encode(first, Look(format=format)) == encode(second, Look(format=format))
    assert first.suffix == f".{format}"


@pytest.mark.parametrize("width", [60, 85, 180])
def test_no_text_of_a_pdf_leaves_the_page_or_is_too_small(width):
    data = compose("panel", SHEET, "pdf", Style(width), title="a title").data
    (left, bottom, right, top), texts = pdf_texts(data)
    assert right - left == pytest.approx(width / INCH * 72, abs=0.1)
    assert len(texts) >= 7
    for x, y, size in texts:
        assert left <= x <= right
        assert bottom <= y <= top
        assert size >= LEAST


def test_a_pdf_has_a_title_a_creator_no_date_and_its_fonts():
    data = compose("panel", SHEET, "pdf", Style(85), title="photo.jpg").data
    assert re.search(rb"/Title \(photo\.jpg\)", data)
    assert b"/Creator (camviz)" in data
    assert b"CreationDate" not in data
    assert b"/FontFile2" in data, "TrueType, embedded"
    assert b"DejaVuSans" in data


def test_an_svg_needs_no_font_and_has_no_date():
    data = compose("panel", SHEET, "svg", Style(85)).data.decode()
    assert "<text" not in data
    assert "<dc:date>" not in data
    assert data.count("<image") == 3


def test_files_say_how_large_they_are_on_paper():
    figure = compose("panel", SHEET, "png", Style(85, 150))
    png = encode(figure, Look())
    at = png.index(b"pHYs")
    assert int.from_bytes(png[at + 4 : at + 8], "big") == round(150 / 0.0254)
    jpeg = encode(figure, Look(format="jpg"))
    assert (jpeg[13], int.from_bytes(jpeg[14:16], "big")) == (1, 150)


def test_very_long_figures_get_fewer_dots():
    rows = tuple(Row((Tile(np.zeros((100, 60, 3), np.uint8)),)) for _ in range(30))
    figure = compose("panel", Sheet(rows), "png", Style(180))
    assert figure.dpi < 300
    assert max(figure.pixels.shape) <= 16000


@pytest.mark.parametrize("style", [Style(10), Style(5000), Style(85, 10), Style(85, 5000), Style(85, points=1)])
def test_sizes_that_cannot_be_printed(style):
    with pytest.raises(RequestError):
        check_style(style)


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    code = (
        "import matplotlib; before = dict(matplotlib.rcParams);"
        "import numpy as np; from camviz.render.paper import compose; from camviz.render.sheet import *;"
        "from camviz.types import Style;"
        "compose('x', Sheet((Row((Tile(np.zeros((4, 4, 3), np.uint8), 'a'),)),)), 'pdf', Style());"
        "assert dict(matplotlib.rcParams) == before"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
