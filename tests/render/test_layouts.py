"""Panels and grids: what is on them, for images and maps of every kind."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from camviz.render import draw, layouts, tiles
from camviz.render.sheet import Picture, Sheet, Words, arrange
from camviz.types import Look, Style
from tests.helpers.pages import check_page

SMALL = Style(85, 60)


@pytest.fixture
def sheets(monkeypatch) -> list[tuple[Sheet, Style]]:
    """The sheets that were composed."""
    seen: list[tuple[Sheet, Style]] = []
    compose = layouts.compose

    def spy(kind: str, sheet: Sheet, format: str, style: Style, *rest: Any) -> Any:
        seen.append((sheet, style))
        return compose(kind, sheet, format, style, *rest)

    monkeypatch.setattr(layouts, "compose", spy)
    monkeypatch.setattr(tiles, "compose", spy)
    return seen


def words(sheets: list[tuple[Sheet, Style]]) -> str:
    sheet, style = sheets[-1]
    page = arrange(sheet, style)
    check_page(page)
    return " | ".join(item.text for item in page.items if isinstance(item, Words)).replace("\u00a0", " ")


def pictures(sheets: list[tuple[Sheet, Style]]) -> list[Picture]:
    return [item for item in arrange(*sheets[-1]).items if isinstance(item, Picture)]


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (64, 48), (600, 10), (10, 600), (319, 321)])
@pytest.mark.parametrize("target", ["zebra", "a_target_of_one_long_word" * 4, "虎斑猫 " * 20])
def test_panels_of_every_size(make: Any, sheets, size, target):
    each = make([[1, 2], [3, -4]], size, target=target, layer=target)
    figure = draw(each.image, each, Look(layout="panel", sign="both", style=SMALL))
    assert figure.kind == "panel"
    words(sheets)


def test_a_panel_names_target_method_layer_and_model(make: Any, sheets):
    each = make([[3.4, 1.0]], (64, 48), model="/home/me/weights/ours.pth")
    draw(each.image, each, Look(layout="panel", style=SMALL))
    text = words(sheets)
    for expected in ("Input", "zebra 93.1 %", "Grad-CAM", "layer4 of ours", "3.4"):
        assert expected in text
    assert "/home" not in text


def test_a_wide_panel_is_stacked(make: Any, sheets):
    for size, rows in (((64, 48), 1), ((300, 100), 2)):
        each = make([[1.0, 2.0]], size)
        draw(each.image, each, Look(layout="panel", style=SMALL))
        assert len({picture.box[1] for picture in pictures(sheets)[:2]}) == rows


def test_bar_and_caption_can_be_left_out(make: Any, sheets):
    each = make([[1.0, 2.0]], (64, 48))
    for bar, caption in ((True, True), (False, True), (True, False), (False, False)):
        draw(each.image, each, Look(layout="panel", colorbar=bar, caption=caption, style=SMALL))
        text = words(sheets) if bar or caption else ""
        assert ("Grad-CAM, score units" in text) == bar
        assert ("Input" in text) == caption


def test_an_overlay_gets_bar_and_caption_where_they_are_asked_for(make: Any, sheets):
    each = make([[1.0, 2.0]], (300, 280))
    plain = draw(each.image, each, Look())
    assert not sheets, "the fast path"
    assert plain.pixels.shape == (280, 300, 3)
    draw(each.image, each, Look(colorbar=True, caption=True))
    assert "zebra 93.1 %" in words(sheets)
    np.testing.assert_array_equal(sheets[-1][0].rows[0].tiles[0].pixels, plain.pixels)
    assert draw(each.image, each, Look(format="pdf")).data.startswith(b"%PDF")


def test_a_blank_map_says_why(make: Any, sheets):
    for values, reason in (
        ([[0.0]], "zero everywhere"),
        ([[-1.0]], "no positive value"),
        ([[np.nan]], "no finite value"),
    ):
        each = make(values, (64, 48))
        draw(each.image, each, Look(layout="panel", style=SMALL))
        assert reason in words(sheets)


def test_targets_of_one_method_are_one_row_on_one_scale(make: Any, sheets):
    maps = [
        make([[top, 0.0]], (64, 48), target=name, index=top) for top, name in ((4, "zebra"), (2, "horse"), (1, "cow"))
    ]
    maps = [replace(each, image=maps[0].image) for each in maps]
    figure = draw(maps[0].image, maps, Look(layout="grid", style=Style(180, 60)))
    text = words(sheets)
    assert text.count("Input") == 1
    assert all(f"{name} 93.1 %" in text for name in ("zebra", "horse", "cow"))
    assert "Grad-CAM, score units" in text
    assert figure.facts["high"] == 4
    assert len(sheets[-1][0].rows) == 1
    assert len(pictures(sheets)) == 5, "input, three maps, one bar"


def test_methods_have_their_own_scales_and_one_relative_bar(make: Any, sheets):
    names = ["gradcam", "layercam", "eigencam"]
    maps = [make([[top, 0.0]], (64, 48), method=name) for top, name in zip((4, 2, 1), names, strict=True)]
    maps = [replace(each, image=maps[0].image) for each in maps]
    figure = draw(maps[0].image, maps, Look(layout="grid", style=Style(180, 60)))
    text = words(sheets)
    assert all(name in text for name in ("Grad-CAM", "LayerCAM", "Eigen-CAM", "max 4", "max 2", "max 1"))
    assert figure.facts == {}
    drawn = [tile.pixels for tile in sheets[-1][0].rows[0].tiles[1:]]
    np.testing.assert_array_equal(drawn[0], drawn[2])
    shared = draw(maps[0].image, maps, Look(layout="grid", scale="row", style=Style(180, 60)))
    assert shared.facts["high"] == 4
    drawn = [tile.pixels for tile in sheets[-1][0].rows[0].tiles[1:]]
    assert (drawn[0] != drawn[2]).any()


def test_several_targets_and_methods_are_rows_and_columns(make: Any, sheets):
    maps = [
        make([[1.0, 0.0]], (64, 48), method=method, target=target, index=index)
        for index, target in enumerate(("zebra", "horse"))
        for method in ("gradcam", "layercam")
        if (method, target) != ("layercam", "horse")
    ]
    maps = [replace(each, image=maps[0].image) for each in maps]
    draw(maps[0].image, maps, Look(layout="grid", style=Style(180, 60)))
    sheet, _ = sheets[-1]
    assert [row.label for row in sheet.rows] == ["zebra 93.1 %", "horse 93.1 %"]
    assert [tile is None for tile in sheet.rows[1].tiles] == [False, False, True]


def test_many_methods_are_wrapped_into_rows(make: Any, sheets):
    maps = [make([[1.0, 0.0]], (64, 48), method=f"method{number}") for number in range(12)]
    maps = [replace(each, image=maps[0].image) for each in maps]
    draw(maps[0].image, maps, Look(layout="grid", style=Style(180, 60)))
    assert [len(row.tiles) for row in sheets[-1][0].rows] == [5, 5, 5]
    words(sheets)


def test_maps_per_pixel_stand_alone_on_white(make: Any, sheets):
    rng = np.random.default_rng(0)
    for values, colors in ((rng.random((48, 64)) ** 8, 1), (rng.normal(size=(48, 64)) ** 3, 3)):
        each = make(values, (64, 48), layer="input", method="integrated-gradients", facts={"per_pixel": True})
        painted = draw(each.image, each, Look(full_size=True)).pixels
        assert np.median(painted) > 200
        assert np.unique(np.ptp(painted.astype(int), axis=2)).size >= colors
        draw(each.image, each, Look(layout="panel", style=Style(180, 60)))
        assert re.search(r"Integrated Gradients, clipped at P99", words(sheets))


def test_titles_of_tall_images_stay_whole(make: Any, sheets):
    each = make([[1.0], [2.0]], (40, 320), target="Irish water spaniel")
    draw(each.image, each, Look(layout="panel", style=Style(0, 60)))
    assert "…" not in words(sheets)
