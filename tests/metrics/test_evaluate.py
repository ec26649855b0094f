"""From images to numbers with the bundled model, whose images' truth is known to the pixel."""

import copy

import numpy as np
import pytest
import torch

import camviz
from camviz.demo import sample_folder
from camviz.errors import RequestError
from tools.demo.scenes import draw_scene

CHEAP = ["pointing", "energy", "iou", "sparsity"]


@pytest.fixture(scope="module")
def model():
    return camviz.load("demo")


@pytest.fixture(scope="module")
def scenes():
    """Six images of two to four shapes, and the mask of the largest one."""
    rng = np.random.default_rng(5)
    return [draw_scene(rng, 128, 128, shapes=(2, 4)) for _ in range(6)]


@pytest.fixture(scope="module")
def measured(model, scenes):
    """Each scene asked for the class that the model sees, its largest shape."""
    return camviz.evaluate(
        model,
        [scene.image for scene in scenes],
        method=["gradcam", "layercam"],
        truth=[scene.dominant.mask for scene in scenes],
        metric=["insertion", "road", "localization", "sanity"],
        forwards=6,
        settings={"insertion.start": "black"},  # blurred shapes are still recognized
        fit="squash",
    )


def mean(found, method, metric, layer=None):
    layer = layer if layer is not None else next(one[1] for one in found.names if one[0] == method)
    return found.summary(method, layer, metric).mean


@pytest.mark.parametrize("method", ["gradcam", "layercam"])
@pytest.mark.parametrize("metric", ["road", "pointing", "energy", "iou", "insertion"])
def test_random_loses(measured, method, metric):
    assert mean(measured, method, metric) > mean(measured, "random", metric)


def test_maps_of_a_random_model_are_others(measured):
    assert mean(measured, "gradcam", "sanity") < 0.4
    assert abs(mean(measured, "random", "sanity")) < 0.1
    assert mean(measured, "gaussian", "sanity") == pytest.approx(1)


def test_baselines_are_always_beside_and_once(model, scenes):
    found = camviz.evaluate(model, scenes[0].image, method=["gradcam", "random"], metric="sparsity")
    assert [name[0] for name in found.names] == ["gradcam", "random", "gaussian"]


def test_a_word_that_means_nothing_is_not_taken_for_one(model, scenes):
    with pytest.raises(RequestError, match="no match 'lable'"):
        camviz.evaluate(model, scenes[0].image, metric="sparsity", match="lable")


def test_the_model_is_left_as_it_was(scenes):
    model = camviz.load("demo")
    before = copy.deepcopy(model.module.state_dict())
    grads = [p.requires_grad for p in model.module.parameters()]
    camviz.evaluate(model, scenes[0].image, metric=["sanity", "sensitivity", "road"], forwards=4)
    assert all(torch.equal(value, before[key]) for key, value in model.module.state_dict().items())
    assert [p.requires_grad for p in model.module.parameters()] == grads
    assert not any(part._forward_hooks or part.training for part in model.module.modules())


def test_the_batch_makes_no_difference(model, scenes):
    images = [scene.image for scene in scenes[:2]]
    one, two = (
        camviz.evaluate(
            model, images, method="layercam", forwards=4, batch_size=size, metric=["faithfulness", "sparsity"]
        )
        for size in (1, 2)
    )
    for a, b in zip(one.rows, two.rows, strict=True):
        assert (a.image, a.method) == (b.image, b.method)
        for metric, value in a.values.items():
            assert value == pytest.approx(b.values[metric], abs=2e-4), metric


def test_several_layers_methods_and_targets(model, scenes):
    found = camviz.evaluate(
        model,
        [scenes[0].image, scenes[1].image],
        method=["gradcam", "gradient"],
        layer=["features.3", "features.4"],
        target=["star", "ring"],
        metric="sparsity",
    )
    assert set(found.names) == {
        ("gradcam", "features.3"), ("gradcam", "features.4"), ("gradient", "input"),
        ("random", "features.3"), ("random", "features.4"), ("random", "input"), ("gaussian", ""),
    }  # fmt: skip
    assert {row.target for row in found.rows} == {"star", "ring"}
    assert len(found.rows) == 2 * 2 * 7
    assert found.images == ["0 image", "1 image"]


def test_boxes_are_matched_to_the_predicted_class(model):
    files = [sample_folder() / name for name in ("star_and_ring.jpg", "drop_alone.jpg")]
    known = sample_folder() / "annotations.json"
    found = camviz.evaluate(model, files, boxes=known, metric=CHEAP)
    assert found.summary("gradcam", "features.4", "pointing").count == 2
    assert mean(found, "gradcam", "pointing") == 1
    absent = camviz.evaluate(model, files, boxes=known, metric=CHEAP, target="heart")
    assert absent.summary("gradcam", "features.4", "pointing").count == 0
    assert any("2 of 2 targets" in note for note in absent.notes)
    assert "–" in str(absent)
    either = camviz.evaluate(model, files, boxes=known, metric=CHEAP, target="heart", match="any")
    assert either.summary("gradcam", "features.4", "pointing").count == 2


def test_a_group_passes_over_what_a_model_cannot(model, scenes):
    found = camviz.evaluate(model, scenes[0].image, method="pixels", metric="sparsity", settings={
        "smoothgrad.samples": 2, "vargrad.samples": 2, "integrated-gradients.steps": 2,
    })  # fmt: skip
    assert any(note.startswith("skipped: guided-backprop") for note in found.notes)
    assert "smoothgrad" in str(found)


def test_localization_without_truth(model, scenes):
    found = camviz.evaluate(model, scenes[0].image, metric=["sparsity", "localization"])
    assert [measure.name for measure in found.measures] == ["sparsity"]
    with pytest.raises(RequestError, match="localization metrics need ground truth"):
        camviz.evaluate(model, scenes[0].image, metric="pointing")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"forwards": 2}, "2 forwards are too few"),
        ({"metric": "insertian"}, "no metric 'insertian'"),
        ({"truth": []}, "0 masks for 1 images"),
        ({"truth": [np.ones((2, 3), bool)]}, "a mask of"),
        ({"mask_value": "3"}, "'3'"),
        ({"settings": {"road.percentile": 3}}, "no setting 'percentile'"),
    ],
)
def test_refusals(model, scenes, settings, words):
    with pytest.raises(RequestError, match=words):
        camviz.evaluate(model, scenes[0].image, **settings)


def test_a_saturated_curve_is_noted(model, scenes):
    found = camviz.evaluate(model, scenes[0].image, metric="insertion", forwards=4)
    assert any(note.startswith("insertion ") and "insertion.start=" in note for note in found.notes)
    assert not camviz.evaluate(
        model, scenes[0].image, metric="insertion", forwards=4, settings={"insertion.start": "black"}
    ).notes
