"""A real detector and a real segmenter on real photographs; CAMVIZ_ASSETS names the files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import camviz
from camviz.errors import InputError
from camviz.models.catalog import class_names

ASSETS = Path(os.environ.get("CAMVIZ_ASSETS", ""))
pytestmark = pytest.mark.skipif(not os.environ.get("CAMVIZ_ASSETS"), reason="CAMVIZ_ASSETS is not set")


def load(net: str, weights: str, classes: int, folder: Path, **how) -> camviz.types.Model:
    (folder / "names.txt").write_text("\n".join(class_names("COCO" if classes == 91 else "VOC")))
    return camviz.load(
        f"{ASSETS / 'nets' / net}.py:build",
        checkpoint=ASSETS / "weights" / f"{weights}.pth",
        labels=folder / "names.txt",
        **how,
    )


def positive(found) -> np.ndarray:
    return np.clip(np.nan_to_num(found.view.place(found.values)), 0, None)


def test_the_map_of_a_box_lies_in_it(tmp_path):
    model = load("ssd_mnv1", "ssd_mnv1_075_coco", 91, tmp_path)
    shares, energies, hits = [], {}, {}
    for path in sorted((ASSETS / "images" / "voc2007").glob("*.jpg"))[:20]:
        try:
            maps = camviz.explain(model, path, target="all", method=["hirescam", "layercam", "gradcam"])
        except InputError:
            continue
        for found in maps:
            left, top, right, bottom = (max(0, round(side)) for side in found.facts["bounding_box"])
            values, inside = positive(found), np.zeros(found.image.pixels.shape[:2], bool)
            inside[top:bottom, left:right] = True
            if inside.mean() > 0.6:  # whatever the map, it lies in such a box
                continue
            shares.append(inside.mean())
            energies.setdefault(found.method, []).append(values[inside].sum() / values.sum())
            hits.setdefault(found.method, []).append(inside.flat[values.argmax()])
    assert len(shares) > 60
    for method in ("hirescam", "layercam"):
        assert np.mean(energies[method]) > 3 * np.mean(shares)
        assert np.mean(hits[method]) > 0.9


def test_the_map_of_the_bird_lies_on_it(tmp_path):
    model = load(
        "deeplab_mnv2", "deeplabv3_mnv2_voc", 21, tmp_path, input_size=(513, 513), mean=(0.5,) * 3, std=(0.5,) * 3
    )
    folder = ASSETS / "images" / "coral"
    bird = np.asarray(Image.open(folder / "bird_segmentation_mask.bmp")) == 3
    [found] = camviz.explain(model, folder / "bird_segmentation.bmp", fit="squash")
    assert found.target == "bird"
    region, values = found.marks[0].region, positive(found)
    assert (region & bird).sum() / (region | bird).sum() > 0.88
    assert values[bird].sum() / values.sum() > 2.5 * bird.mean()
    assert bird.flat[values.argmax()]
