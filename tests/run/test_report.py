"""A run as a page: cards, links, small images."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from PIL import Image

from camviz.run.database.database import Database
from camviz.run.report import make_page, url_of
from camviz.types import Look
from tests.helpers.runs import AWKWARD, make_run

MAPS = [{"facets": ("gradcam",)}, {"method": "layercam", "facets": ("layercam",), "facts": {"note": "blank"}}]


def page_of(folder: Path, place: Path | None = None):
    with Database(folder) as database:
        return make_page(database, database.newest(), place or folder)


def test_a_card_per_map_and_one_per_failure(tmp_path):
    make_run(tmp_path / "run", ["a.png", "b.png"], MAPS, failed=("c.png",))
    page = page_of(tmp_path / "run")
    assert [(one.image, one.method, one.note) for one in page.cards] == [
        *((n, m, note) for n in (0, 1) for m, note in (("gradcam", None), ("layercam", "blank"))),
        (2, None, None),
    ]
    assert (page.title, page.summary) == ("run", "heatmap · 2 images, 4 maps, 1 failed")
    assert [(one.name, one.state) for one in page.images] == [
        ("a.png", "done"),
        ("b.png", "done"),
        ("c.png", "failed"),
    ]
    assert dict(page.facts)["versions"] == "camviz 0.1, torch 2.0"
    assert dict(page.facts)["methods"] == "gradcam"


@pytest.mark.parametrize("place", ["run", "elsewhere/deep"])
def test_links_lead_to_the_files_whatever_their_names(tmp_path, place):
    make_run(tmp_path / "run", AWKWARD, MAPS)
    page = page_of(tmp_path / "run", tmp_path / place)
    for card in page.cards:
        image = page.images[card.image]
        assert image.url.startswith("file:///")
        assert Path(unquote(urlparse(image.url).path)) == tmp_path / "images" / image.name
        [file] = card.files
        parsed = urlparse(file.url)
        assert (parsed.scheme, parsed.netloc, parsed.query, parsed.fragment) == ("", "", "", "")
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        assert (tmp_path / place / unquote(parsed.path)).is_file()


def test_no_name_becomes_another_address():
    assert url_of("javascript:alert(1).png") == "javascript%3Aalert%281%29.png"
    assert url_of(os.fsdecode(b"\xff.png")) == "%FF.png"


def test_thumbnails_show_the_image_and_the_map_on_it(tmp_path):
    make_run(tmp_path / "run", ["a.png"], [{}], look=Look(alpha=1.0, layout="panel"), size=(320, 240))
    page = page_of(tmp_path / "run")
    original, overlay = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)
        for data in (page.images[0].thumb, page.cards[0].thumb)
    )
    assert original.shape == overlay.shape == (120, 160, 3)
    assert np.abs(original - overlay)[10:-10, 10:-10].mean() > 30  # alpha 1: the colors alone, no panel


def test_an_image_that_is_gone_or_changed_is_told_and_the_figure_shown(tmp_path):
    make_run(tmp_path / "run", ["a.png", "b.png", "c.png"])
    (tmp_path / "images" / "a.png").unlink()
    os.utime(tmp_path / "images" / "b.png", (1, 1))
    page = page_of(tmp_path / "run")
    assert [bool(one.thumb) for one in page.images] == [False, False, True]
    assert "no file" in page.images[0].error
    assert "has changed since the run" in page.images[1].error
    assert all(one.thumb for one in page.cards)
    assert [one.aligned for one in page.cards] == [False, False, True]
    assert [one.state for one in page.images] == ["done"] * 3


def test_a_figure_of_another_command_has_a_card_too(tmp_path):
    make_run(tmp_path / "run", ["a.png"])
    with Database(tmp_path / "run", write=True) as database:
        database._db.execute("DELETE FROM maps")
        page = make_page(database, database.newest(), tmp_path / "run")
    [card] = page.cards
    assert (card.files[0].path, bool(card.thumb), card.aligned, card.max) == ("a_gradcam.png", True, False, None)
