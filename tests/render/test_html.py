"""The page of a run: nothing from outside can become markup, script or another address."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camviz.render import html
from camviz.render.html import (
    THUMB,
    Card,
    Page,
    PageFile,
    PageImage,
    draw_page,
    errors_page,
    shrunk,
    thumb_side,
    thumbnail,
)

EVIL = "</script><script>alert(1)</script><!-- \" ' & \u2028 图 \udcff.png"


@pytest.fixture
def page() -> Page:
    image = PageImage(EVIL, "file:///a%20b", "failed", 0.5, error=EVIL, hint=EVIL)
    card = Card(0, target=EVIL, note=EVIL, files=[PageFile(EVIL, "a%3Ab.png", "overlay", True)])
    return Page(EVIL, "1 image", [("model", EVIL)], [image], [card])


@pytest.fixture
def text(page) -> str:
    return draw_page(page, "1.0").data.decode("utf-8")


def data_of(text: str) -> dict:
    [found] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def test_there_are_the_two_scripts_of_the_page_and_no_more(text):
    assert text.count("<script") == 2
    assert text.count("</script") == 2
    assert "alert(1)" in text
    assert "<!--" not in text


def test_names_arrive_as_they_were(text):
    data = data_of(text)
    assert data["images"][0]["name"] == EVIL
    assert data["cards"][0]["files"][0] == {"path": EVIL, "url": "a%3Ab.png", "kind": "overlay", "image": True}


def test_nothing_is_fetched_from_anywhere(text):
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", text)
    assert not re.findall(r"url\(|@import|fetch\(|XMLHttpRequest", text)
    assert "default-src 'none'" in text


def test_failures_and_facts_stand_in_the_page_itself(text):
    assert "1 failed" in text
    assert text.count("&lt;/script&gt;") >= 5


def test_a_page_without_failures_does_not_speak_of_them():
    text = draw_page(Page("a", "b"), "1.0").data.decode()
    assert "failures" not in text.partition("</header>")[0].partition("<body>")[2]


@pytest.mark.parametrize(("count", "side"), [(0, THUMB), (10_000, THUMB), (40_000, 80), (10**7, 64)])
def test_many_thumbnails_are_smaller_ones(count, side):
    assert thumb_side(count) == side  # 45 MB / 4.5 kB = 10 000 of 160 pixels; a quarter of the area, four times as many


@pytest.mark.parametrize(
    ("size", "expected"),
    [((400, 300), (160, 120)), ((300, 800), (60, 160)), ((50, 20), (50, 20)), ((2000, 1), (160, 1))],
)
def test_thumbnails_keep_the_shape(size, expected):
    width, height = size
    assert shrunk(np.zeros((height, width, 3), np.uint8), 160).shape == (expected[1], expected[0], 3)


def test_a_thumbnail_is_a_webp_in_the_right_colors():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[..., 0] = 250
    image = Image.open(io.BytesIO(base64.b64decode(thumbnail(pixels))))
    assert (image.format, image.size) == ("WEBP", (60, 40))
    red, green, blue = np.asarray(image.convert("RGB")).reshape(-1, 3).mean(0)
    assert red > 230
    assert max(green, blue) < 20


def test_no_local_of_the_script_has_the_name_of_a_function():
    script = Path(html.__file__).with_name("report.js").read_text("utf-8")
    functions = set(re.findall(r"^function (\w+)\(", script, re.MULTILINE))
    declared = re.findall(r"(?:const|let) ([^;=]*=[^;]*);", script)
    names = {name for one in declared for name in re.findall(r"(?:^|, )(\w+) =", one)}
    assert functions
    assert functions & names == set()


def confusion(true: str, predicted: str, count: int, of: int) -> dict[str, object]:
    image = {"name": "<b>.jpg", "probability": "55 %", "figures": ["b_errors.png"]}
    return {"true": true, "predicted": predicted, "count": count, "of": of, "images": [image] * count}


def test_the_confusion_matrix_counts_every_image_of_its_classes():
    found = [confusion("cat", "dog", 2, 5), confusion("dog", "<owl>", 1, 4)]
    page = errors_page(20, 17, found, {"cat": 5, "dog": 4, "fox": 11})
    assert "<owl>" not in page
    assert "<b>" not in page
    matrix = page[page.index('class="matrix"') : page.index("</table>")]
    rows = re.findall(r'scope="row">(.*?)</th>(.*?)</tr>', matrix, re.DOTALL)
    cells = {name: re.findall("<td.*?</td>", row, re.DOTALL) for name, row in rows}
    counts = {name: [re.sub("<.*?>", "", cell).strip() for cell in row] for name, row in cells.items()}
    assert counts == {"&lt;owl&gt;": ["", "", ""], "cat": ["", "3", "2"], "dog": ["1", "", "3"]}
    assert set(re.findall('href="#(c\\d)"', matrix)) == {"c1", "c2"} == set(re.findall('<section id="(c\\d)"', page))


def test_many_classes_have_no_matrix():
    many = [confusion(f"a{number}", f"b{number}", 1, 1) for number in range(99)]
    page = errors_page(99, 0, many, {f"a{number}": 1 for number in range(99)})
    assert 'class="matrix"' not in page
    assert page.count("<section") == 99
