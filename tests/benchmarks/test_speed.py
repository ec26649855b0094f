"""The goals, in processor time of one thread: a busy machine hardly changes it. Run with -m benchmark."""

import pytest

from tests.benchmarks import evaluate, maps, speed
from tests.benchmarks.contenders import Case

for peer in ("pytorch_grad_cam", "torchcam", "captum"):
    pytest.importorskip(peer)
pytestmark = pytest.mark.benchmark


@pytest.mark.parametrize("batch", speed.BATCHES)
@pytest.mark.parametrize("model", speed.MODELS)
def test_a_map_costs_hardly_more_than_a_forward(model, batch):
    found = speed.cams(Case(model, batch), 7, cpu=True)
    slack = 1.05  # of what is measured
    fixed = 1.5 / found["bare forward"]  # milliseconds whatever the model: more than a tenth of the smallest forward
    for method in ("gradcam", "gradients"):
        assert found[method] <= slack * speed.goal(model, method) + fixed
    assert found["gradcam"] <= slack * min(found["torchcam"], found["captum"])
    assert found["pytorch-grad-cam"] >= 2 * found["gradcam"]


@pytest.mark.parametrize(("model", "times"), [("resnet18", 100), ("resnet50", 50)])
def test_ablationcam_replays_the_tail(model, times):
    assert speed.ablation(Case(model), 1, cpu=True)["faster"] >= times


def test_scorecam():
    found = speed.scorecam(Case("resnet18", path="layer1"), 3, cpu=True)
    assert found["faster, fp32"] >= 1.1
    assert found["faster, bf16"] >= 1.1
    assert found["fp32, MB"] <= min(found["pytorch-grad-cam, MB"], found["torchcam, MB"])


def test_all_maps_of_a_layer_as_one_montage():
    found = maps.features(3, cpu=True)
    assert found["ranked montage"] < maps.GOAL
    assert found["ranked montage"] < found["an image per channel"] / 2


def test_methods_find_what_was_asked_for():
    methods = ["gradcam", "cam", "hirescam", "layercam", "ablationcam"]
    found = evaluate.measure(methods, evaluate.questions(60))
    layer = found.names[0][1]
    floor = found.summary("random", layer, "iou").mean
    for method in methods:
        assert found.summary(method, layer, "pointing").mean >= 0.75
        assert found.summary(method, layer, "iou").mean >= 1.5 * floor


@pytest.mark.parametrize("model", ["mobilenet_v2", "resnet18"])
def test_road(model):
    found = evaluate.road_times(Case(model), 1, cpu=True)
    assert found["faster"] >= 5
    assert found["gap"] <= 0.1  # the noise of both
