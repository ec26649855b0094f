"""The patches that excite a channel: one peak per image, kept in order, cut from the right place."""

from __future__ import annotations

import numpy as np

from camviz.feature_maps.visualization.patches import Best, Look
from camviz.models.receptive_field import Field
from camviz.types import View

VIEW = View((8, 8), (0, 0, 8, 8), (8, 8))
WHOLE = Look()


def maps(*channels):
    """Maps (c, 2, 2) from four numbers per channel."""
    return np.array(channels, np.float32).reshape(-1, 2, 2)


def test_one_peak_of_each_image_in_falling_order():
    best: Best[str] = Best(2, 2)
    best.add("a", VIEW, maps([1, 5, 4, 0], [0, 0, 0, 1]))
    best.add("b", VIEW, maps([7, 6, 6, 6], [0, 0, 0, 0]))
    best.add("c", VIEW, maps([6, 0, 0, 0], [0, 2, 0, 0]))
    assert [(p.source, p.activation) for p in best.patches(0, WHOLE)] == [("b", 7), ("c", 6)]
    assert [(p.source, p.activation) for p in best.patches(1, WHOLE)] == [("c", 2), ("a", 1)]


def test_the_same_as_sorting_everything():
    rng = np.random.default_rng(0)
    everything = rng.normal(size=(200, 5, 3, 4)).astype(np.float32)
    best: Best[int] = Best(5, 7)
    for number, one in enumerate(everything):
        best.add(number, VIEW, one)
    peaks = everything.max((2, 3))
    for channel in range(5):
        expected = np.argsort(-peaks[:, channel])[:7]
        found = best.patches(channel, WHOLE)
        assert [p.source for p in found] == expected.tolist()
        np.testing.assert_array_equal([p.activation for p in found], peaks[expected, channel])
    np.testing.assert_allclose(best.energy / 200, np.square(everything).mean((0, 2, 3)), rtol=1e-5)


def test_images_without_a_place_are_let_go():
    best: Best[int] = Best(1, 2)
    for number in range(300):  # each is better than all before it
        best.add(number, VIEW, maps([number, 0, 0, 0]))
    assert [p.source for p in best.patches(0, WHOLE)] == [299, 298]
    assert len(best._sources) <= 2 + 64


def test_of_equal_peaks_the_first_image_stays():
    best: Best[str] = Best(1, 1)
    best.add("a", VIEW, maps([0, 3, 0, 0]))
    best.add("b", VIEW, maps([0, 0, 3, 0]))
    assert [p.source for p in best.patches(0, WHOLE)] == ["a"]


def test_ranks_and_silent_channels():
    best: Best[str] = Best(4, 3)
    best.add("a", VIEW, maps([9, 0, 0, 0], [5, 5, 5, 5], [0, 0, 0, 0], [-1, -1, -1, -2]))
    assert best.order("energy") == [1, 0, 3]
    assert best.order("peak") == [0, 1, 3]
    assert best.patches(2, WHOLE) == []
    assert [p.activation for p in best.patches(3, WHOLE)] == [-1], "a signed layer may be below zero everywhere"


# where it is cut


def test_a_field_on_the_image():
    """The middle 40×40 of an image of 80×60, seen at 20×20: one input pixel is two of the image."""
    view = View((80, 60), (20, 10, 60, 50), (20, 20))
    look = Look(Field((5, 5), (4, 4), (-2, -2)))
    assert look.box(view, (5, 5), 2, 1) == ((20 + 4, 10 + 12, 20 + 14, 10 + 22), 10)
    assert look.box(view, (5, 5), 0, 0) == ((20, 10, 26, 16), 10), "padding is no part of the image"
    assert look.box(view, (5, 5), 4, 4) == ((48, 38, 58, 48), 10)


def test_a_square_around_the_cell():
    view = View((100, 100), (0, 0, 100, 100), (50, 50))
    assert Look(side=10).box(view, (5, 5), 1, 2) == ((40, 20, 60, 40), 20)
    assert Look(side=500).box(view, (5, 5), 1, 2)[0] == (0, 0, 100, 100)
    assert WHOLE.box(view, (5, 5), 0, 0)[0] == (0, 0, 100, 100)


def test_beyond_a_letterbox_there_is_no_image():
    view = View((40, 20), (0, -10, 40, 30), (20, 20))
    assert WHOLE.box(view, (2, 2), 0, 0)[0] == (0, 0, 40, 20)
    [box, _] = Look(Field((2, 2), (10, 10))).box(view, (2, 2), 0, 0)
    assert box == (0, 0, 4, 1), "at least one pixel"


def test_the_theoretical_field_is_taken_when_it_leaves_something_out():
    assert Look.of(Field((16, 16)), (32, 32)) == Look(Field((16, 16)))
    assert Look.of(Field((30, 30)), (32, 32)) is None
    assert Look.of(Field(whole=True), (32, 32)) is None
    assert Look.of(None, (32, 32)) is None


# the whole way
