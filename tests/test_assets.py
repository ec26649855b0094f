"""Real photographs through real ImageNet models. The files are not part of the project: CAMVIZ_ASSETS names them."""

from __future__ import annotations

import csv
import os
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import camviz
from camviz.types import Model, SaliencyMap

ASSETS = Path(os.environ.get("CAMVIZ_ASSETS", ""))
pytestmark = pytest.mark.skipif(not os.environ.get("CAMVIZ_ASSETS"), reason="CAMVIZ_ASSETS is not set")

# indices of ImageNet classes that are of a class of Pascal VOC
VOC = {
    "aeroplane": [404, 895],
    "bicycle": [444, 671],
    "bird": [*range(7, 25), *range(80, 101), *range(127, 147)],
    "boat": [472, 484, 554, 576, 625, 724, 780, 814, 833, 871, 914],
    "bottle": [440, 720, 737, 898, 907],
    "bus": [654, 779, 874],
    "car": [407, 436, 468, 511, 609, 627, 656, 661, 717, 751, 817],
    "cat": [*range(281, 286)],
    "chair": [423, 559, 765],
    "cow": [345, 346],
    "diningtable": [532],
    "dog": [*range(151, 269)],
    "horse": [339],
    "motorbike": [665, 670],
    "pottedplant": [738],
    "sheep": [348, 349],
    "sofa": [831],
    "train": [466, 547, 705, 820, 829],
    "tvmonitor": [527, 664, 782, 851],
}


@cache
def module(name: str) -> Model:
    return camviz.load(name, checkpoint=ASSETS / "weights" / f"{name}_imagenet.pth")


def boxes_of(image: Path, kind: str) -> list[tuple[int, int, int, int]]:
    """(left, top, right, bottom) of every object of `kind`; the file counts pixels from 1."""
    tree = ElementTree.parse(image.parent / "Annotations" / f"{image.stem}.xml")
    found = []
    for one in tree.findall("object"):
        if one.findtext("name") == kind:
            left, top, right, bottom = (
                int(float(one.findtext(f"bndbox/{s}") or 0)) for s in ("xmin", "ymin", "xmax", "ymax")
            )
            found.append((left - 1, top - 1, right, bottom))
    return found


def inside(found: SaliencyMap, boxes: list[tuple[int, int, int, int]]) -> tuple[bool, float]:
    """Whether the peak lies in a box, and the share of the positive map that does."""
    placed = np.nan_to_num(found.view.place(found.values), nan=0).clip(min=0)
    mask = np.zeros(placed.shape, bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return bool(mask[np.unravel_index(placed.argmax(), placed.shape)]), float(placed[mask].sum() / placed.sum())


@pytest.mark.parametrize(
    ("name", "peaks", "images", "mass"), [("mobilenet_v2", 19, 22, 0.57), ("squeezenet1_1", 15, 16, 0.59)]
)
def test_the_peak_lies_in_a_box_of_the_predicted_class(name, peaks, images, mass):
    hits, shares = [], []
    for image in sorted((ASSETS / "images" / "voc2007").glob("*.jpg")):
        [found] = camviz.explain(module(name), image, fit="squash")
        kind = next((kind for kind, indices in VOC.items() if found.index in indices), "")
        if kind and (boxes := boxes_of(image, kind)):
            hit, share = inside(found, boxes)
            hits.append(hit)
            shares.append(share)
    assert len(hits) == images
    assert sum(hits) >= peaks
    assert np.mean(shares) >= mass


def test_dog_and_cat_are_told_apart():
    image = ASSETS / "images" / "misc" / "both.png"
    dog, cat = camviz.explain(module("mobilenet_v2"), image, target=["bull mastiff", "tiger cat"], fit="squash")
    dog_box, cat_box = [(77, 12, 167, 148)], [(33, 117, 200, 222)]
    assert inside(dog, dog_box)[1] == pytest.approx(0.53, abs=0.05)
    assert inside(dog, cat_box)[1] == pytest.approx(0.23, abs=0.05)
    assert inside(cat, dog_box)[1] == pytest.approx(0.26, abs=0.05)
    assert inside(cat, cat_box)[1] == pytest.approx(0.56, abs=0.05)


@pytest.mark.parametrize(("name", "right"), [("mobilenet_v2", 42), ("squeezenet1_1", 32)])
def test_predictions_are_those_measured_elsewhere(name, right):
    folder = ASSETS / "images" / "imagenet_sample"
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    files = [folder / row["file"] for row in rows]
    maps = camviz.explain(module(name), files, batch_size=10)
    assert sum(found.index == int(row["class_index"]) for found, row in zip(maps, rows, strict=True)) == right
