"""Panels and sheets: nothing overlaps, nothing is cut, the images keep their pixels."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from camviz.render import canvas, draw, text
from camviz.render.bar import Bar, number
from camviz.render.color import Limits, table
from camviz.render.frame import Line, caption, framed, percent
from camviz.render.panel import LARGEST, resized
from camviz.render.sheet import sheet
from camviz.types import Look, Pixels

LONG = "features.denseblock4.denselayer16.conv2." * 5


def found(block: Pixels, inside: Pixels) -> list[tuple[int, int]]:
    """Where `block` stands in `inside`, pixel for pixel."""
    height, width = block.shape[:2]
    first = (inside == block[0, 0]).all(axis=2)[: len(inside) - height + 1, : inside.shape[1] - width + 1]
    return [
        (int(y), int(x))
        for y, x in zip(*first.nonzero(), strict=True)
        if (inside[y : y + height, x : x + width] == block).all()
    ]


def rim(block: Pixels, size: int = 1) -> Pixels:
    """The outermost pixels, in one row."""
    edges = (block[:size], block[-size:], block[:, :size], block[:, -size:])
    return np.concatenate([edge.reshape(-1, 3) for edge in edges])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *[(0, "0"), (-0.0, "0"), (0.012, "0.012"), (3.4, "3.4"), (1.2e-05, "1.2e-05"), (-3.456, "-3.46")],
        *[(1, "1"), (999.4, "999"), (999.9, "1000"), (12345.6, "12346"), (1e5, "1e+05"), (0.5, "0.5")],
        *[(0.001, "0.001"), (0.00099, "9.9e-04"), (-2.04e7, "-2e+07"), (1e-40, "0")],
    ],
)
def test_numbers(value: float, words: str) -> None:
    assert number(value) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.931, "93.1%"), (1.0, "100.0%"), (0.9999, ">99.9%"), (0.0004, "<0.1%"), (0.0, "0.0%"), (0.5, "50.0%")],
)
def test_percentages(share: float, words: str) -> None:
    assert percent(share) == words


def test_caption_says_what_was_explained(make: Any) -> None:
    head, facts = caption(make([[3.4, 1.0]]))
    assert head.parts == ("zebra", "93.1%")
    assert facts.parts == ("gradcam", "layer4", "resnet50", "max 3.4")
    assert caption(make([[3.4, -1.0]]))[1].parts[-1] == "max 3.4, min -1"
    assert caption(make([[-2, -1.0]]))[1].parts[-1] == "max -1, min -2 (nothing positive)"
    assert caption(make([[2, 1.0]]), "negative")[1].parts[-1] == "max 2 (nothing negative)"
    assert caption(make([[0, 0.0]]), "both")[1].parts[-1] == "max 0 (zero everywhere)"
    assert caption(make([[np.nan]]))[1].parts[-1] == "no finite value"
    assert caption(make([[1.0]], probability=None))[0].written(14, 400) == ["zebra · 12.5"]  # its score


def test_bar_marks() -> None:
    assert Bar(Limits(0, 3.4), "inferno").marks() == [(0, "0"), (1, "3.4")]
    assert Bar(Limits(0, 3.4), "inferno", "negative").marks() == [(0, "0"), (1, "-3.4")]
    assert Bar(Limits(-2, 2), "coolwarm", "both").marks() == [(0, "-2"), (0.5, "0"), (1, "2")]
    assert Bar(Limits(0, 0), "inferno").marks() == [(0, "0")]


@pytest.mark.parametrize("sign", ["positive", "both"])
@pytest.mark.parametrize("height", [1, 50, 256, 700])
def test_bar_colors_run_upwards_and_its_numbers_do_not_touch(sign: Any, height: int) -> None:
    bar = Bar(Limits(-1.5 if sign == "both" else 0, 1.5), "coolwarm", sign)
    drawn = bar.draw(height, 14)
    assert drawn.shape[0] >= height
    assert drawn[0, 0].tolist() == table("coolwarm")[255].tolist()
    assert drawn[-1, 0].tolist() == table("coolwarm")[0].tolist()
    ink = (drawn[:, 14 + 6 :] < 128).any(axis=(1, 2)).astype(int)
    assert (np.diff(np.r_[0, ink, 0]) == 1).sum() == len(bar.marks()), "each number on its own rows"


def test_frames_keep_the_block_and_cut_nothing() -> None:
    bar = Bar(Limits(0, 123.4), "inferno")
    lines = (Line((LONG, "93.1%"), title=True), Line(("gradcam", LONG, "resnet50")))
    for height, width in [(1, 1), (3, 900), (900, 3), (40, 50), (333, 517)]:
        block = np.random.default_rng(5).integers(0, 200, (height, width, 3), dtype=np.uint8)
        for drawn in (framed(block, lines, bar), framed(block, lines), framed(block, (), bar)):
            np.testing.assert_array_equal(drawn[:height, :width], block)
            assert (drawn[height:, -1] == 255).all(), "no letter runs out on the right"
        assert (framed(block, lines, bar)[-1] == 255).all(), "nor at the bottom"
    assert framed(block) is block


EXTREMES = [(1, 1), (3, 2), (640, 480), (6000, 4000), (6000, 10), (10, 6000), (2000, 900), (319, 321)]


@pytest.mark.parametrize("size", EXTREMES)
@pytest.mark.parametrize("words", ["zebra", LONG, "虎斑猫 " * 40])
def test_panels_of_every_size(make: Any, size: tuple[int, int], words: str) -> None:
    map = make([[1, 2], [3, -4]], size, target=words, layer=words)
    drawn = draw(map.image, map, Look(layout="panel", sign="both")).pixels
    assert drawn is not None
    assert 320 <= drawn.shape[1] <= 2 * LARGEST + 300
    assert 100 <= drawn.shape[0] <= LARGEST + 400
    assert (rim(drawn, 6) == 255).all(), "a margin on all sides, so no text is cut"


def test_a_panel_is_image_and_overlay_side_by_side(make: Any) -> None:
    map = make([[1, 2], [3, -4]], (400, 330))
    overlay = draw(map.image, map, Look()).pixels
    drawn = draw(map.image, map, Look(layout="panel")).pixels
    assert overlay is not None
    assert drawn is not None
    [(top, left)], [(top_too, right)] = found(map.image.pixels, drawn), found(overlay, drawn)
    assert top == top_too
    assert right >= left + 400


def test_a_wide_panel_is_stacked(make: Any) -> None:
    map = make([[1, 2]], (500, 100))
    drawn = draw(map.image, map, Look(layout="panel", alpha=0)).pixels
    assert drawn is not None
    (first, left), (second, left_too) = found(map.image.pixels, drawn)
    assert left == left_too
    assert second >= first + 100


def test_bar_and_caption_can_be_left_out(make: Any) -> None:
    map = make([[1, 2]], (400, 330))
    full, no_bar, no_caption, bare = (
        draw(map.image, map, Look(layout="panel", colorbar=bar, caption=words)).pixels
        for bar, words in [(None, None), (False, None), (None, False), (False, False)]
    )
    assert no_bar.shape[1] < full.shape[1] == no_caption.shape[1]
    assert no_caption.shape[0] < full.shape[0] == no_bar.shape[0]
    assert bare.shape[:2] == (no_caption.shape[0], no_bar.shape[1])
    assert draw(map.image, map, Look(layout="panel", colorbar=True, caption=True)).pixels.shape == full.shape


def test_tiles_are_bounded_and_small_ones_repeat_their_pixels() -> None:
    assert resized(np.zeros((4000, 6000, 3), np.uint8)).shape == (1067, 1600, 3)
    assert resized(np.zeros((2, 6000, 3), np.uint8)).shape == (1, 1600, 3)
    small = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    enlarged = resized(small)
    assert enlarged.shape == (320, 320, 3)
    np.testing.assert_array_equal(enlarged[::160, ::160], small)
    assert (enlarged[:160, :160] == small[0, 0]).all()


def test_a_resized_panel_keeps_the_place_of_the_map(make: Any) -> None:
    """A center crop of a large image: the hot corner of the crop is hot in the tile, at half the size."""
    map = make([[9, 0], [0, 0]], (3200, 1600), box=(800, 0, 2400, 1600))
    map = replace(map, image=replace(map.image, pixels=np.full((1600, 3200, 3), 40, np.uint8)))
    look = Look(layout="panel", alpha=1, caption=False, colorbar=False)
    drawn = draw(map.image, map, look).pixels
    assert drawn is not None
    hot = (drawn == table("inferno")[255]).all(axis=2).nonzero()
    tile = drawn.shape[1] // 2 + canvas_gap(drawn) // 2
    assert hot[1].min() - tile == 400
    assert hot[1].max() - tile == pytest.approx(400 + 200, abs=4)


def canvas_gap(drawn: Pixels) -> int:
    """The paper between two equal tiles in a margin twice as wide as that: width = 2 · 1600 + 5 · gap."""
    return (drawn.shape[1] - 3200) // 5


def cell(value: int, height: int = 40, width: int = 60) -> Pixels:
    pixels = np.full((height, width, 3), value, np.uint8)
    pixels[0, 0] = (value, 1, 2)
    return pixels


def test_a_sheet_has_every_cell_once_in_its_place() -> None:
    cells = [[cell(10), cell(20), None], [cell(30), None, cell(40)]]
    drawn = sheet(cells, ["one", "two"], ["a", "b", "c"], "title")
    at = {value: found(cell(value), drawn) for value in (10, 20, 30, 40)}
    assert all(len(places) == 1 for places in at.values())
    (a, b), (c, d) = (at[10][0], at[20][0]), (at[30][0], at[40][0])
    assert a[0] == b[0] < c[0] == d[0]
    assert a[1] == c[1] < b[1] < d[1]
    assert d[1] - b[1] == b[1] - a[1], "equal columns, also over an empty cell"


@pytest.mark.parametrize("size", [(1, 1), (24, 200), (200, 24), (300, 400)])
@pytest.mark.parametrize("words", ["x", "gradcam++", LONG, "虎斑猫" * 30])
def test_labels_of_a_sheet_stay_in_their_room(size: tuple[int, int], words: str) -> None:
    cells = [[cell(10, *size), cell(20, *size)], [cell(30, *size), None]]
    bar = Bar(Limits(0, 1e-7), "viridis")
    drawn = sheet(cells, [words, "b"], [words, words], words, bar, [Line((words,), title=True)])
    assert (rim(drawn, 6) == 255).all()
    for value in (10, 20, 30):
        assert len(found(cell(value, *size), drawn)) >= 1, "no text over an image"


def test_labels_next_to_each_other_do_not_touch() -> None:
    drawn = sheet([[cell(9, 30, 90)] * 3], columns=[LONG] * 3)
    top = found(cell(9, 30, 90), drawn)[0][0]
    ink = (drawn[:top] < 200).any(axis=(0, 2))
    starts = [left for _, left in found(cell(9, 30, 90), drawn)]
    for left, right in itertools.pairwise(starts):
        assert not ink[left + 90 : right].any()
        assert ink[left : left + 90].any()


def test_labels_stand_over_and_beside_their_cells() -> None:
    drawn = sheet([[cell(9), cell(8)]], ["row"], ["first", "second"])
    (top, left), (_, right) = found(cell(9), drawn)[0], found(cell(8), drawn)[0]
    heads = (drawn[: top - 14] < 128).any(axis=(0, 2)).nonzero()[0]
    assert heads[0] >= left
    assert heads[-1] < right + 60
    for start in (left, right):
        own = heads[(heads >= start) & (heads < start + 60)]
        assert (own[0] + own[-1]) / 2 == pytest.approx(start + 30, abs=2), "centered"
    beside = (drawn[top : top + 40, :left] < 128).any(axis=(1, 2)).nonzero()[0]
    assert beside.mean() == pytest.approx(20, abs=4)


def test_a_long_title_does_not_widen_the_sheet() -> None:
    assert sheet([[cell(9, 40, 500)]], title=LONG).shape[1] == 500 + 28


def test_a_sheet_without_labels_has_room_for_none() -> None:
    assert sheet([[cell(5)]]).shape == (40 + 28, 60 + 28, 3)
    assert sheet([]).shape[2] == sheet([[]]).shape[2] == sheet([[None]], ["a"], ["b"]).shape[2] == 3


def test_small_images_stand_in_the_middle() -> None:
    drawn = sheet([[cell(10, 100, 100), cell(20, 20, 40)]])
    (top, left), (small_top, small_left) = found(cell(10, 100, 100), drawn)[0], found(cell(20, 20, 40), drawn)[0]
    assert small_top - top == 40
    assert small_left - (left + 100 + 7) == 30


def test_as_many_labels_as_rows_and_columns() -> None:
    with pytest.raises(ValueError, match="labels"):
        sheet([[cell(1)]], rows=["a", "b"])
    with pytest.raises(ValueError, match="labels"):
        sheet([[cell(1)]], columns=["a", "b"])


def test_text_sizes_grow_with_the_canvas_within_reason() -> None:
    small, large = (framed(cell(9, 30, width), [Line(("x",))]).shape[0] - 30 for width in (100, 5000))
    assert small == text.line_height(14) + 14
    assert large == text.line_height(28) + 28
    assert canvas.margin(cell(1), 3).shape == (46, 66, 3)


def test_a_caption_says_why_nothing_is_to_be_seen(make: Any) -> None:
    words = [line.parts for line in caption(make([[1.0]], facts={"note": "weak: it varies by 0.1"}))]
    assert words[-1] == ("weak: it varies by 0.1",)
    assert len(caption(make([[1.0]]))) == 2
