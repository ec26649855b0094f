"""The patches that excite a channel: one peak per image, kept in order, cut from the right place."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from camviz.feature_maps.extract import Extractor
from camviz.feature_maps.visualization.patch_figures import patch_tile
from camviz.feature_maps.visualization.patches import Best, Look
from camviz.io.inputs import list_inputs
from camviz.models.layers import find_layers
from camviz.models.receptive_field import Field
from camviz.run.context import RunContext
from camviz.run.patches import patches
from camviz.run.settings import PatchSettings
from camviz.types import Model, Preprocessing, Request, View

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


def test_a_patch_cut_by_the_edge_is_not_zoomed():
    for size, (height, width) in (((10, 20), (128, 256)), ((10, 10), (128, 128))):
        inked = (patch_tile(np.zeros((*size, 3), np.uint8), 20) == 0).all(2)
        assert (inked.any(1).sum(), inked.any(0).sum()) == (height, width)


# the whole way


class Bright(nn.Module):
    """Channel 0 is the mean brightness of 4×4 pixels, channel 1 that of blue less red, channel 2 nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 4, stride=4, bias=False)
        self.conv.weight.data = torch.zeros(3, 3, 4, 4)
        self.conv.weight.data[0] = 1 / 48
        self.conv.weight.data[1, 2], self.conv.weight.data[1, 0] = 1 / 16, -1 / 16

    def forward(self, x):
        return self.conv(x).mean((2, 3))


@pytest.fixture
def extractor():
    model = Model("bright", Bright(), Preprocessing((32, 32), 32, (0.0,) * 3, (1.0,) * 3, "nearest"))
    return Extractor(model, find_layers(model, ["conv"]))


def collect(extractor, folder: Path, out: Path, channels: str = "0-2", **context):
    """The facts of the figures, how many images are done, and the errors of the others."""
    settings = PatchSettings(Request(), (channels,))
    records = list(patches(settings, extractor, list_inputs([str(folder)]), RunContext(out, **context)))
    facts = [file.facts for record in records for file in record.written]
    return facts, sum(record.done for record in records), [record.error for record in records if record.error]


def test_the_box_is_where_the_peak_is(extractor, tmp_path):
    for number, (x, y, value) in enumerate([(8, 16, 250), (40, 48, 150), (24, 0, 200)]):
        pixels = np.zeros((64, 64, 3), np.uint8)
        pixels[y : y + 8, x : x + 8] = value
        pixels[56:, 56:, 2] = 10 * number
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    [facts], done, failures = collect(extractor, tmp_path / "in", tmp_path / "out")
    assert not failures
    assert done == facts["images"] == 3
    assert facts["field"] == {"kind": "theoretical", "size": [4, 4]}
    bright, blue, dead = facts["channels"]
    shown = [(Path(p["input"]).stem, p["box"], round(p["activation"] * 255)) for p in bright["patches"]]
    assert shown == [("0", [8, 16, 16, 24], 250), ("2", [24, 0, 32, 8], 200), ("1", [40, 48, 48, 56], 150)]
    shown = [(Path(p["input"]).stem, p["box"], round(p["activation"] * 255)) for p in blue["patches"]]
    assert shown == [("2", [56, 56, 64, 64], 20), ("1", [56, 56, 64, 64], 10)], "zero everywhere is no peak"
    assert dead["patches"] == []


def test_nan_is_a_failure_of_the_image(extractor, tmp_path, write_image):
    write_image(tmp_path / "in" / "a.png")
    extractor.model.module.conv.weight.data[0, 0, 0, 0] = float("nan")
    facts, done, failures = collect(extractor, tmp_path / "in", tmp_path / "out")
    assert facts == []
    assert done == 0
    assert "NaN or infinite values at layer 'conv'" in failures[0].message


def test_an_image_that_vanishes_is_told_and_the_others_are_drawn(extractor, tmp_path, write_image, monkeypatch):
    for name in "ab":
        write_image(tmp_path / "in" / f"{name}.png", seed=ord(name))

    def vanish(done: int) -> None:
        if done == 2:
            (tmp_path / "in" / "a.png").unlink()

    [facts], done, [error] = collect(extractor, tmp_path / "in", tmp_path / "out", "0", passed=vanish)
    assert "a.png" in error.message
    assert (done, facts["images"]) == (1, 2)
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["bright.conv.png"]


def test_memory_does_not_grow_with_the_images(extractor, tmp_path, write_image):
    """tracemalloc sees numpy's arrays: 150 images of 160×120 more would be 8.6 MB more if they stayed."""
    peaks = []
    for number in range(200):
        write_image(tmp_path / "all" / f"{number:03}.png", 160, 120, number)
    few = tmp_path / "few"
    few.mkdir()
    for number in range(50):
        (few / f"{number:03}.png").symlink_to(tmp_path / "all" / f"{number:03}.png")
    collect(extractor, few, tmp_path / "warm")
    for folder in (few, tmp_path / "all"):
        tracemalloc.start()
        [facts], _, _ = collect(extractor, folder, tmp_path / folder.name / "out")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(facts["channels"][0]["patches"]) == 8
    assert peaks[1] < 1.1 * peaks[0] + 100_000
