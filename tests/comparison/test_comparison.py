"""A comparison: differences in a stated unit, in words, in rows, and as an image in a notebook."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camviz.comparison import Comparison, Comparisons, check_count
from camviz.errors import RequestError
from camviz.types import Image, Look, View
from tests.helpers.runs import saliency

IMAGE = Image(np.full((4, 4, 3), 90, np.uint8))
VIEW = View((4, 4), (0, 0, 4, 4), (4, 4))


def of(*values, scale="row", sign="positive", **facts) -> Comparison:
    maps = [
        replace(
            saliency(IMAGE),
            values=np.full((4, 4), one, np.float32) if np.isscalar(one) else np.float32(one),
            view=VIEW,
            facts={"side": f"s{number}", "predicted": "cat", "confidence": 0.5, **facts},
        )
        for number, one in enumerate(values)
    ]
    return Comparison.of(maps, Look(scale=scale, sign=sign))


def ramp(top: float) -> np.ndarray:
    return np.linspace(-top, top, 16, dtype=np.float32).reshape(4, 4)


def test_raw_differences_are_later_less_first():
    assert of(1.0, 3.5).difference().max() == 2.5
    assert of(3.5, 1.0).difference().max() == -2.5


def test_the_difference_is_of_what_is_drawn():
    assert of(-3.0, 2.0).difference()[0, 0] == 2, "below zero nothing is drawn"
    assert of(-3.0, 2.0, sign="both").difference()[0, 0] == 5
    assert of(-3.0, 2.0, sign="negative").difference()[0, 0] == -3


def test_with_a_scale_of_their_own_maps_are_shares_of_their_extremes():
    """Half of the extreme of one, all of the other's."""
    first, second = np.zeros((4, 4)), np.zeros((4, 4))
    first[0, 0], first[3, 3] = 10, 5
    second[3, 3] = 0.1
    assert of(first, second, scale="image").difference()[3, 3] == pytest.approx(0.5)
    assert of(first, second).difference()[3, 3] == pytest.approx(-4.9)


def test_nothing_to_compare_where_one_has_not_seen():
    found = of(1.0, 2.0)
    crop = replace(found.sides[1].map, view=View((4, 4), (2, 0, 4, 4), (4, 4)))
    seen = Comparison((found.sides[0], replace(found.sides[1], map=crop))).difference()
    assert np.isnan(seen[:, :2]).all()
    assert (seen[:, 2:] == 1).all()


def test_distance_is_of_the_side_that_differs_most():
    assert of(ramp(1), ramp(2), ramp(3)).distance == pytest.approx(0)
    assert of(ramp(1), ramp(2), -ramp(3)).distance == pytest.approx(2)
    assert of(ramp(1), 0.0).distance == 1, "a constant map tells nothing"


def test_rows_and_words():
    first, second = of(ramp(1), ramp(2)).rows()
    assert first["correlation"] is first["iou"] is None
    assert (second["side"], second["prediction"], second["probability"]) == ("s1", "cat", 0.5)
    assert second["correlation"] == pytest.approx(1)
    assert second["iou"] == 1
    assert second["max"] == 2
    assert "s1: cat 50.0%; max 2, r 1.00, IoU 1.00" in str(of(ramp(1), ramp(2)))


def test_under_a_weak_map_stands_that_it_is():
    cells = of(1.0, 2.0, weak="weak: it varies by 0").group().cells
    assert [cell.notes[-1] for cell in cells] == ["weak", "weak"]
    assert "weak" not in of(1.0, 2.0).group().cells[0].notes


def test_notes_say_what_must_be_known():
    assert of(1.0, 2.0).note == ""
    assert "4×4 and 2×2" in of(1.0, np.ones((2, 2))).note
    assert of(1.0, np.ones((2, 2)), scale="image").note == ""
    found = of(1.0, 2.0)
    other = replace(found.sides[1], map=replace(found.sides[1].map, target="dog"))
    assert "class" in Comparison((found.sides[0], other)).note


def test_sides_by_name():
    assert of(1.0, 2.0).side("s1") is not None
    assert of(1.0, 2.0).side(0).name == "s0"
    with pytest.raises(RequestError) as caught:
        of(1.0, 2.0).side("s9")
    assert "'s9'" in caught.value.message


@pytest.mark.parametrize(
    ("count", "strip", "fine"),
    [
        *[(1, False, False), (2, False, True), (6, False, True)],
        *[(7, False, False), (7, True, True), (1, True, False)],
    ],
)
def test_two_to_six(count, strip, fine):
    if fine:
        check_count(count, strip)
        return
    with pytest.raises(RequestError) as caught:
        check_count(count, strip)
    assert str(count) in caught.value.message


def test_a_notebook_shows_figures_and_tables():
    both = Comparisons([of(ramp(1), ramp(2)), of(ramp(1), ramp(2), note="<why>")])
    assert both._repr_html_().count('<img src="data:image/png;base64,') == 2
    assert "<td>&lt;why&gt;</td>" in both._repr_html_()
    assert str(both).count("s1: cat") == 2
    lines = both.to_csv().splitlines()
    assert lines[0].startswith("image,target,side")
    assert len(lines) == 5
    assert Comparisons().to_csv() == "\n"


def test_a_notebook_shows_the_figure():
    assert of(ramp(1), ramp(2))._repr_png_().startswith(b"\x89PNG")
    figure = of(ramp(1), ramp(2)).figure(85, 100)
    assert figure.width == round(85 / 25.4 * 100)
