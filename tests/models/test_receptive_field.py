"""Theoretical receptive fields by hand: sliding windows, boxes, shares, unions."""

from __future__ import annotations

from camviz.models.receptive_field import ATTENDED, GATE, Field, union


def test_two_windows_by_hand():
    """3×3 with stride 2 and padding 1, then 3×3 with stride 2: 7 pixels, 4 apart, the first from -1."""
    field = Field().slide((3, 3), (2, 2), (1, 1)).slide((3, 3), (2, 2), (0, 0))
    assert (field.size, field.jump, field.first) == ((7, 7), (4, 4), (-1, -1))
    assert field.center == (2.5, 2.5)
    assert field.box(1, 2) == (7, 3, 14, 10)


def test_dilation_widens_a_window():
    assert Field().slide((3, 1), (1, 1), (0, 0), (4, 1)).size == (9, 1)


def test_the_share_of_an_input():
    field = Field(size=(8, 4))
    assert field.share((16, 16)) == 0.125
    assert Field(size=(8, 32)).share((16, 16)) == 0.5
    assert GATE.share((16, 16)) == 1
    assert GATE.slide((3, 3), (2, 2), (1, 1)) is GATE


def test_a_union_is_the_bounding_box_on_one_grid():
    small, wide = Field(size=(3, 3), first=(-1, -1)), Field(size=(5, 1), first=(-2, 0))
    both = union([small, wide])
    assert (both.size, both.first, both.gated) == ((5, 3), (-2, -1), False)
    assert union([small, GATE]).gated
    assert union([small, Field(jump=(2, 2))]) is None
    assert union([small, ATTENDED]) is ATTENDED
    assert union([GATE]) is GATE
