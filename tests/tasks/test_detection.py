"""Detections: which one is meant, what its score is on other images, and whose map it gets."""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

import camviz
from camviz.engine.explain import Explainer
from camviz.errors import CamvizError, InputError, ModelError, RequestError, UnknownName
from camviz.models.layers import default_layer, list_layers
from camviz.models.preprocess import prepare
from camviz.models.survey import survey
from camviz.tasks.boxes import Detections, iou, similarity
from camviz.tasks.detection import Detection
from camviz.types import Image, Model, Preprocessing, Request, View
from tests.helpers.dense import CLASSES, DETECTORS, make
from tests.helpers.inputs import random_images
from tests.helpers.state import hook_count, state_of
from tests.methods.test_methods import ATTENTION, QUICK

WHOLE = View((200, 100), (0, 0, 200, 100), (100, 50))  # the model's input is half as large


def row(scores, labels=None, boxes=None) -> Detections:
    count = len(scores)
    boxes = torch.tensor(boxes or [[10.0 * i, 0, 10.0 * i + 10, 10] for i in range(count)]).reshape(-1, 4)
    return Detections(boxes, torch.tensor(scores), torch.tensor(labels or [1] * count, dtype=torch.long))


def task(**settings) -> Detection:
    return Detection("net", CLASSES, **settings)


# what texts mean


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["box:0"], [("box0", 0, None, False)]),
        (["box 12"], [("box12", 12, None, False)]),
        (["top2"], [("box0", 0, None, False), ("box1", 1, None, False)]),
        (["all"], [("box", None, None, True)]),
        (["all", "box:3", "cat"], [("box", None, None, True), ("cat-", None, 1, True)]),
        (["dog"], [("dog-", None, 2, True)]),
        (["3,box:1"], [("3-", None, 3, True), ("box1", 1, None, False)]),
        (["cat", "cat"], [("cat-", None, 1, True)]),
    ],
)
def test_what_a_target_means(texts, expected):
    assert [(w.facet, w.number, w.index, w.several) for w in task().parse(texts)] == expected


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("box:", RequestError, "no target 'box:'"),
        ("box:x", RequestError, "no target 'box:x'"),
        ("horse", UnknownName, "no class 'horse'"),
        ("4", UnknownName, "no class 4"),
    ],
)
def test_a_target_that_means_nothing(text, error, message):
    with pytest.raises(error) as caught:
        task().parse([text])
    assert message in caught.value.message
    assert caught.value.hint


def chosen(text: str, found: Detections, **settings):
    asked = task(**settings)
    return asked.choose(asked.parse([text])[0], found, WHOLE)


def test_boxes_are_numbered_by_their_scores_whatever_their_order():
    found = row([0.4, 0.9, 0.2, 0.6], [1, 2, 1, 1])
    assert [t.label for t in chosen("all", found)] == ["dog, box 0", "cat, box 1", "cat, box 2"]
    assert [t.label for t in chosen("cat", found)] == ["cat, box 1", "cat, box 2"]
    assert [t.label for t in chosen("all", found, min_score=0.1)][-1] == "cat, box 3"
    [second] = chosen("box:1", found)
    assert (second.index, second.probability) == (1, pytest.approx(0.6))
    assert second.facts == {"detection": 1, "detections": 1, "bounding_box": [60.0, 0.0, 80.0, 20.0]}
    assert second.marks[0].box == (0.3, 0.0, 0.4, 0.2)
    assert second.marks[0].text == "cat 60%"


def test_no_more_than_twenty_at_once_and_it_says_of_how_many():
    targets = chosen("all", row([0.5] * 30))
    assert len(targets) == 20
    assert targets[0].facts["detections"] == 30


@pytest.mark.parametrize(
    ("text", "found", "message", "hint"),
    [
        ("box:0", row([0.213, 0.1]), "no detection ≥ 0.3 (best: cat 0.21)", "--min-score 0.21"),
        ("all", row([0.219]), "(best: cat 0.22)", "--min-score 0.21"),
        ("box:0", row([]), "no detection ≥ 0.3", "--min-score"),
        ("box:2", row([0.9, 0.8]), "2 detections of at least 0.3, so there is no box 2", "box:1 is the last"),
        ("bird", row([0.9]), "no 'bird' ≥ 0.3 (detected: cat 0.9)", "--target box:0"),
    ],
)
def test_nothing_to_explain_says_what_there_is(text, found, message, hint):
    with pytest.raises(InputError) as caught:
        chosen(text, found)
    assert message in caught.value.message
    assert hint in caught.value.hint


# the score


def test_intersection_over_union_by_hand():
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 3], [0, 0, 2, 1], [5, 5, 6, 6], [1, 1, 1, 1]])
    expected = torch.tensor([1.0, 1 / 7, 2 / 4, 0, 0])
    torch.testing.assert_close(iou(boxes, torch.tensor([0.0, 0, 2, 2])), expected)


def test_the_score_elsewhere_is_the_best_overlap_times_score_of_the_class():
    box = torch.tensor([0.0, 0, 2, 2])
    found = row([0.9, 0.8, 0.99], [1, 1, 2], [[1.0, 1, 3, 3], [0, 0, 2, 1], [0, 0, 2, 2]])
    assert float(similarity(found, box, 1)) == pytest.approx(max(0.9 / 7, 0.8 / 2))
    assert float(similarity(found, box, 2)) == pytest.approx(0.99)
    assert float(similarity(found, box, 3)) == 0
    assert float(similarity(row([]), box, 1)) == 0


def test_a_box_is_itself_even_beside_a_surer_one():
    found = row([0.9, 0.3], None, [[0.0, 0, 2, 1.9], [0, 0, 2, 2]])
    assert float(similarity(found, torch.tensor([0.0, 0, 2, 2]), 1)) == pytest.approx(0.3)


def test_probability_unless_the_log_of_the_odds_is_wanted():
    found = row([0.8])
    [likely] = chosen("box:0", found)
    assert float(likely.read(found)) == pytest.approx(0.8)
    [odds] = chosen("box:0", found, score="logit")
    assert float(odds.read(found)) == pytest.approx(math.log(0.8 / 0.2), rel=1e-5)
    assert float(odds.read(found, "prob")) == pytest.approx(0.8)
    assert math.isfinite(float(odds.read(row([]))))


def test_the_score_is_part_of_the_graph_also_where_nothing_is_found():
    scores = torch.tensor([0.5], requires_grad=True)
    found = Detections(torch.tensor([[0.0, 0, 1, 1]]), scores, torch.tensor([2]))
    value = similarity(found, torch.tensor([0.0, 0, 1, 1]), 1)
    value.backward()
    assert scores.grad.tolist() == [0]


# the DETR family


def queries(logits, boxes) -> dict[str, torch.Tensor]:
    return OrderedDict(logits=torch.tensor([logits]), pred_boxes=torch.tensor([boxes]))


def test_queries_with_a_last_class_for_nothing():
    output = queries([[0.0, 2.0, 0.0, 0.0, 1.0]], [[0.5, 0.5, 0.2, 0.4]])
    assert Detection.structured(output)
    [found] = task().rows(output, 1)
    torch.testing.assert_close(found.boxes, torch.tensor([[0.4, 0.3, 0.6, 0.7]]))
    total = math.exp(2) + math.exp(1) + 3
    assert float(found.scores[0]) == pytest.approx(math.exp(2) / total)
    assert found.labels.tolist() == [1]
    [target] = chosen("box:0", found)
    assert target.facts["bounding_box"] == [80.0, 30.0, 120.0, 70.0]
    assert target.marks[0].box == pytest.approx((0.4, 0.3, 0.6, 0.7))


def test_queries_with_a_sigmoid_for_every_class():
    [found] = task().rows(queries([[0.0, 2.0, 0.0, -1.0]], [[0.5, 0.5, 0.2, 0.4]]), 1)
    assert float(found.scores[0]) == pytest.approx(1 / (1 + math.exp(-2)))


def test_another_output_is_refused():
    assert not Detection.structured(torch.zeros(1, 4))
    with pytest.raises(ModelError, match="not boxes with scores and labels"):
        task().rows(torch.zeros(1, 4), 1)


# torchvision's detectors


def loaded(name: str) -> Model:
    model = camviz.load(make(name))
    return Model(name, model.module, model.preprocessing, CLASSES)


def explained(name: str, images, **how):
    how.setdefault("min_score", 0.2)
    return camviz.explain(loaded(name), images, **how)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_map_of_the_chosen_box(name):
    asked = loaded(name)
    asked.module.train()
    before, thresholds = state_of(asked.module), asked.module.transform.min_size
    image = random_images(1, size=(90, 130))[0]
    [first, second] = camviz.explain(asked, image, target=["box:0", "box:1"], min_score=0.1)
    assert (first.method, first.facts["detection"], second.facts["detection"]) == ("hirescam", 0, 1)
    assert first.score >= second.score
    assert first.score == pytest.approx(first.probability, rel=1e-5)
    assert np.abs(first.values).max() > 0
    assert (first.values != second.values).any()
    assert first.overlay().size == (390, 270)
    assert state_of(asked.module) == before
    assert hook_count(asked.module) == 0
    assert asked.module.transform.min_size == thresholds


@pytest.mark.parametrize(("name", "target"), [(name, "all" if name == "ssd" else "top2") for name in DETECTORS])
def test_a_batch_equals_single_images(name, target):
    images = random_images(3, size=(90, 130))
    together = explained(name, images, target=target)
    alone = [found for image in images for found in explained(name, image, target=target)]
    assert len(together) == len(alone) > 3
    for a, b in zip(together, alone, strict=True):
        assert (a.target, a.facts) == (b.target, b.facts)
        assert a.score == pytest.approx(b.score, rel=1e-4)
        np.testing.assert_allclose(a.values, b.values, rtol=2e-3, atol=1e-5 * np.abs(b.values).max() + 1e-9)


@pytest.mark.parametrize(("name", "marks"), [("mask-rcnn", "region"), ("keypoint-rcnn", "point")])
def test_instances_and_keypoints_are_marked(name, marks):
    [found] = explained(name, random_images(1, size=(90, 130)))
    assert found.marks[0].box
    rest = [getattr(mark, marks) for mark in found.marks[1:]]
    assert len(rest) == (1 if marks == "region" else 3)
    assert all(one is not None for one in rest)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("faster-rcnn", "backbone.body.layer4"), ("fcos", "backbone.body.layer4"), ("ssd", "backbone.features.1")],
)
def test_the_default_layer_is_the_last_that_all_boxes_come_from(name, layer):
    asked = loaded(name)
    seen = survey(asked.module, asked.preprocessing.crop)
    assert default_layer(asked, seen).path == layer


def test_layers_that_run_once_for_each_box_have_no_grid():
    seen = survey(make("faster-rcnn"), (128, 128))
    grids = {one.path: layer for one, layer in list_layers(loaded("faster-rcnn"), seen)}
    assert grids["roi_heads.box_roi_pool"] is None
    assert grids["backbone.fpn.layer_blocks.0"] is not None
    with pytest.raises(ModelError, match=r"roi_heads\.box_roi_pool.*no grid"):
        explained("faster-rcnn", random_images(1), layer="roi_heads.box_roi_pool")


@pytest.mark.parametrize("size", [(90, 130), (130, 90), (60, 60), (40, 400), (300, 70), (513, 511)])
def test_what_the_view_shows_is_what_the_model_sees(size):
    """The detector's own resizing and padding must do nothing more."""
    module = make("fcos")
    module.transform.max_size = 200  # no multiple of the padding
    asked = camviz.load(module)
    given = []
    asked.module.backbone.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].detach()))
    image = random_images(1, size=size)[0]
    values, view = prepare(Image(image), asked.preprocessing)
    assert values.min() >= 0
    assert values.max() <= 1
    assert (view.size[0] % 32, view.size[1] % 32) == (0, 0)
    Explainer(asked, Request(min_score=0.01))([Image(image)], [values], [view])
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in (asked.module.transform.image_mean, asked.module.transform.image_std)
    )
    torch.testing.assert_close(given[1][0], (torch.from_numpy(values) - mean) / std)  # the first is the survey's


def test_a_detector_s_own_threshold_gives_way_and_comes_back():
    asked = loaded("fcos")
    asked.module.score_thresh = 0.95
    [found] = camviz.explain(asked, random_images(1), min_score=0.01)
    assert found.score < 0.95
    assert asked.module.score_thresh == 0.95


def test_an_image_without_detections_does_not_stop_the_others():
    asked = loaded("fcos")
    images = [Image(one) for one in random_images(3)]
    prepared = [prepare(one, asked.preprocessing) for one in images]
    best = [camviz.explain(asked, one, min_score=0)[0].score for one in images]
    bar = sorted(best)[1]
    explainer = Explainer(asked, Request(min_score=bar - 1e-5))
    found = explainer(images, [values for values, _ in prepared], [view for _, view in prepared])
    assert [isinstance(one, InputError) for one in found] == [one < bar - 1e-5 for one in best]
    assert sum(isinstance(one, InputError) for one in found) == 1


def test_mirroring_is_refused_where_a_target_has_its_place():
    with pytest.raises(RequestError, match="--smooth aug mirrors the image") as caught:
        explained("ssd", random_images(1), smooth="aug")
    assert "--smooth noise" in caught.value.hint


@pytest.mark.parametrize(
    "name", ["ssd", pytest.param("fcos", marks=pytest.mark.slow), pytest.param("faster-rcnn", marks=pytest.mark.slow)]
)
def test_every_method_gives_a_map_or_says_why_not(name):
    settings = {f"{method}.{key}": value for method, more in QUICK.items() for key, value in more.items()}
    job = Request(methods=("all",), min_score=0.01, settings=tuple((k, str(v)) for k, v in settings.items()))
    asked = loaded(name)
    explainer = Explainer(asked, job)
    image = Image(random_images(1)[0])
    values, view = prepare(image, asked.preprocessing)
    [maps] = explainer([image], [values], [view])
    assert {"hirescam", "drise", "ablationcam", "fullgrad"} <= {one.method for one in maps}
    assert set(explainer.skipped) <= {"cam", "finercam", "shapleycam", *ATTENTION}
    assert all(np.isfinite(one.values).all() for one in maps)


class Painted(nn.Module):
    """Finds two boxes, always; the score of each is the mean brightness of its own half of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 4, 4, bias=False)
        nn.init.constant_(self.conv.weight, 1 / 48)

    def forward(self, x):
        light = self.conv(x)  # (n, 1, h/4, w/4)
        half = light.shape[3] // 2
        found = []
        for one in light:
            scores = torch.stack([one[..., :half].mean(), one[..., half:].mean()])
            width, height = x.shape[3], x.shape[2]
            boxes = torch.tensor([[0.0, 0, width / 2, height], [width / 2, 0, width, height]])
            found.append({"boxes": boxes, "scores": scores, "labels": torch.tensor([1, 1])})
        return found


def test_each_box_gets_its_own_map():
    """S = mean of the half, so G = 1/(cells of the half) there and 0 elsewhere, and HiResCAM is G · A."""
    how = Preprocessing((32, 32), 32, (0.0,) * 3, (1.0,) * 3)
    image = np.full((32, 32, 3), 51, np.uint8)
    image[:, 16:] = 204
    right, left = camviz.explain(Model("painted", Painted(), how), image, target="all", min_score=0)
    assert (right.score, left.score) == (pytest.approx(0.8), pytest.approx(0.2))
    expected = np.zeros((8, 8))
    expected[:, 4:] = 0.8 / 32
    np.testing.assert_allclose(right.values, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(left.values, np.where(expected > 0, 0, 0.2 / 32), rtol=1e-5, atol=1e-7)
    assert [mark.box for mark in right.marks] == [(0.5, 0.0, 1.0, 1.0)]


def test_drise_lies_where_the_box_comes_from():
    how = Preprocessing((32, 32), 32, (0.0,) * 3, (1.0,) * 3)
    image = np.full((32, 32, 3), 204, np.uint8)
    [found] = camviz.explain(
        Model("painted", Painted(), how), image, method="drise", settings={"samples": 400}, min_score=0, target="box:0"
    )
    inner, outer = found.values[:, :12], found.values[:, 20:]
    if found.facts["bounding_box"][0] > 0:
        inner, outer = outer, inner
    assert inner.mean() > 8 * abs(outer.mean())


def test_drise_is_for_detections(net):
    with pytest.raises(CamvizError, match="method 'drise'") as caught:
        camviz.explain(camviz.load(net(), input_size=(32, 32)), random_images(1), method="drise")
    assert "--method rise" in caught.value.hint
