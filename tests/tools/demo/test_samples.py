"""The sample images, their annotations and the code that draws them agree."""

import json

import numpy as np
import pytest
from PIL import Image

from camviz.metrics.ground_truth import decode_runs
from tools.demo.samples import FOLDER, FORMAT, SAMPLES, annotation, encode
from tools.demo.scenes import KINDS

NOTES = json.loads((FOLDER / "annotations.json").read_text(encoding="utf-8"))
NAMES = sorted(NOTES["files"])


def pixels(name):
    return np.asarray(Image.open(FOLDER / name).convert("RGB"))


def test_there_is_a_note_for_every_image():
    images = {path.name for path in FOLDER.iterdir()} - {"annotations.json"}
    assert images == set(NAMES) == {f"{sample.name}.jpg" for sample in SAMPLES}
    assert len(NAMES) >= 8
    assert NOTES["format"] == FORMAT
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_note_describes_its_image(name):
    note, image = NOTES["files"][name], pixels(name)
    assert image.shape == (note["height"], note["width"], 3)
    areas = []
    for shape in note["shapes"]:
        assert shape["kind"] in KINDS
        mask = decode_runs(shape["runs"], note["width"], note["height"])
        rows, columns = np.nonzero(mask)
        x0, y0, x1, y1 = shape["box"]
        assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        areas.append(mask.sum())
    assert note["dominant"] == int(np.argmax(areas))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_drawing_again_gives_the_same_image(sample):
    scene, name = sample.draw(), f"{sample.name}.jpg"
    difference = np.abs(scene.image.astype(int) - pixels(name))
    assert difference.mean() < 4  # JPEG, and decoders that differ
    again, note = annotation(scene), NOTES["files"][name]
    for ours, theirs in zip(again["shapes"], note["shapes"], strict=True):
        assert ours["kind"] == theirs["kind"]
        assert np.abs(np.subtract(ours["box"], theirs["box"])).max() <= 1
        masks = [decode_runs(shape["runs"], note["width"], note["height"]) for shape in (ours, theirs)]
        assert (masks[0] ^ masks[1]).sum() < 0.01 * masks[1].sum()


def test_the_set_holds_the_shapes_of_image_that_go_wrong_elsewhere():
    sizes = [(note["width"], note["height"]) for note in NOTES["files"].values()]
    assert any(width >= 3 * height for width, height in sizes)
    assert any(height >= 2 * width for width, height in sizes)
    kinds = [[shape["kind"] for shape in note["shapes"]] for note in NOTES["files"].values()]
    assert any(len(set(found)) < len(found) for found in kinds)
    note = NOTES["files"]["arrow_near_corner.jpg"]
    x0, _, x1, _ = note["shapes"][note["dominant"]]["box"]
    edge = (note["width"] + note["height"]) / 2  # right side of the center square
    assert x0 < edge < x1


def test_runs_written_by_hand():
    mask = np.array([[0, 1, 1], [1, 0, 0]], bool)
    assert encode(mask) == [1, 3, 2]
    assert np.array_equal(decode_runs([1, 3, 2], 3, 2), mask)
    assert encode(~mask) == [0, 1, 3, 2]
    assert np.array_equal(decode_runs([0, 1, 3, 2], 3, 2), ~mask)
    assert encode(np.ones((2, 2), bool)) == [0, 4]
