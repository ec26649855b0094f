"""The top-activating patches of a folder: boxes, failures, memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from camviz.feature_maps.extract import Extractor
from camviz.io.inputs import list_inputs
from camviz.models.layers import find_layers
from camviz.run.context import RunContext
from camviz.run.patches import patches
from camviz.run.settings import PatchSettings
from camviz.types import Model, Preprocessing, Request


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
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["bright_conv.png"]


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
