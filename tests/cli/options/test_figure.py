"""Widths for print, and which options change a look."""

from __future__ import annotations

import pytest

from camviz.cli.option_groups import unset
from camviz.cli.options import LookOptions
from camviz.cli.options.figure import changed, width_mm
from camviz.errors import RequestError
from camviz.types import Look, Style


@pytest.mark.parametrize(
    ("text", "mm"), [(None, 0), ("single", 85), ("Double", 180), ("120", 120), ("120mm", 120), ("12.5MM", 12.5)]
)
def test_width_in_mm(text, mm):
    assert width_mm(text) == mm


def test_what_is_no_width():
    with pytest.raises(RequestError, match="--width 'wide'"):
        width_mm("wide")


def test_only_options_that_are_typed_change_a_look():
    look = Look("panel", colormap="jet", style=Style(85.0, 600))
    assert changed(look, unset(LookOptions)()) == look
    typed = unset(LookOptions)(contour="0.5,0.8", width="double", alpha=0.0)
    found = changed(look, typed)
    assert (found.layout, found.colormap, found.alpha, found.contour) == ("panel", "jet", 0.0, (0.5, 0.8))
    assert found.style == Style(180.0, 600)


def test_the_format_of_a_video_is_one_where_videos_are_made():
    assert LookOptions(format="mp4").look(films=True).format == "mp4"
    with pytest.raises(RequestError, match="'mp4'"):
        LookOptions(format="mp4").look()
