"""What the literature says, on real photographs and real weights."""

from __future__ import annotations

import pytest

import camviz
from camviz.models.load import plan
from camviz.types import ModelRequest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def measured(assets):
    """Four photographs."""
    request = ModelRequest("mobilenet_v2", weights=str(assets / "weights" / "mobilenet_v2_imagenet.pth"))
    files = sorted((assets / "images" / "imagenet_sample").glob("*.JPEG"))[::12][:4]
    return camviz.evaluate(
        plan(request).build(),
        files,
        method=["gradcam", "layercam", "guided-backprop"],
        metric=["insertion", "deletion", "road", "sanity"],
        forwards=12,
    )


def mean(found, method, metric):
    layer = "input" if method == "guided-backprop" else "features.18"
    return found.summary(method, layer, metric).mean


@pytest.mark.parametrize("method", ["gradcam", "layercam"])
def test_random_loses(measured, method):
    for metric, sign in (("insertion", 1), ("deletion", -1), ("road", 1)):
        assert sign * mean(measured, method, metric) > sign * mean(measured, "random", metric), metric


def test_shuffled_weights_change_gradcam_and_hardly_guided_backprop(measured):
    assert abs(mean(measured, "gradcam", "sanity")) < 0.35
    assert mean(measured, "guided-backprop", "sanity") > 0.5
