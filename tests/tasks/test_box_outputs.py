"""The formats of boxes: the same candidates, in every form that libraries return them in."""

from __future__ import annotations

import pytest
import torch

import camviz
from camviz.errors import ModelError
from camviz.models.layers import box_levels, default_layer
from camviz.models.outputs import understand
from camviz.models.survey import survey
from camviz.tasks import box_outputs
from camviz.tasks.boxes import Detections
from tests.helpers.inputs import random_images
from tests.helpers.yolo import CLASSES, STRIDES, make, shaped

FORMS = ["v8", "v5", "v5 with levels", "one2one", "final"]


def loaded(form: str = "v8"):
    return camviz.load(make(form), labels=CLASSES, input_size=(64, 64), mean=(0, 0, 0), std=(1, 1, 1))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_best_box(form):
    rows = torch.rand(2, 4 + len(CLASSES), 84) * 60
    rows[:, 4:] /= 60
    found = box_outputs.read(shaped(rows, form), len(CLASSES))
    plain = box_outputs.read(rows, len(CLASSES))
    assert len(found) == len(plain) == 2
    for row, expected in zip(found, plain, strict=True):
        best, right = row.order()[0], expected.order()[0]
        assert torch.allclose(row.boxes[best], expected.boxes[right], atol=1e-4)
        assert row.labels[best] == expected.labels[right]
        assert float(row.scores[best]) == pytest.approx(float(expected.scores[right]), abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", ["box:0", "all", "dog"])
def test_a_map_of_every_form(form, target):
    maps = camviz.explain(loaded(form), random_images(1), target=target, min_score=0.0)
    assert maps
    assert all(saliency_map.facts["bounding_box"] for saliency_map in maps)
    assert all(saliency_map.values.any() for saliency_map in maps)


def test_without_class_names_the_count_of_candidates_decides():
    assert box_outputs.looks_like_boxes(torch.zeros(1, 84, 8400), 0)
    assert box_outputs.looks_like_boxes(torch.zeros(1, 25200, 85), 0)
    assert box_outputs.looks_like_boxes(torch.zeros(1, 300, 6), 0)
    assert not box_outputs.looks_like_boxes(torch.zeros(1, 197, 768), 0)
    assert not box_outputs.looks_like_boxes(torch.zeros(1, 1000), 0)


def test_one_object_is_one_detection():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9.5], [0, 0, 10, 10], [20, 20, 30, 30]])
    scores, labels = torch.tensor([0.8, 0.9, 0.7, 0.3]), torch.tensor([0, 0, 1, 0])
    assert Detections(boxes, scores, labels, overlapping=True).order() == [1, 2, 3]
    assert Detections(boxes, scores, labels).order() == [1, 0, 2, 3]


def test_the_layer_is_that_of_the_level_of_the_box():
    model = loaded()
    model, seen = understand(model, survey(model.module, model.preprocessing.crop))
    assert default_layer(model, seen).path == "out3"
    assert {s: layer.path for s, layer in box_levels(model, seen).items()} == dict(
        zip(STRIDES, ("out3", "out4", "out5"), strict=True)
    )
    maps = camviz.explain(model, random_images(1), target="all", min_score=0.0)
    assert {(m.facts["stride"], m.layer) for m in maps} <= {(8, "out3"), (16, "out4"), (32, "out5")}
    assert len({m.layer for m in maps}) > 1


def test_levels_are_fused_by_the_maximum_of_raw_values():
    image = random_images(1)
    [fused] = camviz.explain(loaded(), image, fuse="max", min_score=0.0)
    each = camviz.explain(loaded(), image, layer=["out3"], min_score=0.0)
    assert fused.layer == "out3+out4+out5"
    assert fused.values.max() >= each[0].values.max() - 1e-6


def masked(points: int = 3) -> Detections:
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    masks = torch.stack([torch.full((4, 4), -1.0), torch.full((4, 4), 2.0)])
    triples = torch.tensor([[[1.0, 2, 0.25]] * 2, [[3.0, 4, 0.75]] * 2])[..., :points]
    return Detections(boxes, torch.tensor([0.5, 0.9]), torch.tensor([0, 1]), mask=lambda i: masks[i], points=triples)


def test_the_mask_and_a_key_point_of_a_detection():
    from camviz.tasks.detection import Detection
    from camviz.types import View

    task, view = Detection("net", CLASSES), View((64, 64), (0, 0, 64, 64), (64, 64))
    specs = task.parse(["box:0@mask", "box:1@keypoint:1"])
    [mask], [point] = (task.choose(spec, masked(), view) for spec in specs)
    assert float(mask.read(masked(), "logit")) == pytest.approx(2)
    assert float(point.read(masked(), "prob")) == pytest.approx(0.25)
    assert [mark.point for mark in mask.marks if mark.point] == [(3 / 64, 4 / 64)] * 2
    with pytest.raises(ModelError, match="2 key points"):
        task.choose(task.parse(["box:0@keypoint:2"])[0], masked(), view)
    with pytest.raises(ModelError, match="without a probability"):
        task.choose(task.parse(["box:0@keypoint:1"])[0], masked(2), view)
