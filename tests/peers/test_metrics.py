"""The metrics beside those of pytorch-grad-cam, torchcam and Quantus, fed with the same maps."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import camviz
from camviz.metrics.case import Case
from camviz.metrics.faithfulness import average_drop, deletion, increase, insertion, road
from camviz.metrics.localization import energy, pointing
from camviz.metrics.sparsity import sparsity
from camviz.types import View
from tools.demo.scenes import draw_scene

CLASS, COUNT = 3, 3  # a cross, of which the model is sure


@pytest.fixture
def asked():
    """(model, input (1, 3, H, W), maps (k, H, W) without equal values, the case)."""
    module, side, generator = camviz.load("demo").module, 128, torch.Generator().manual_seed(3)
    scene = draw_scene(np.random.default_rng(0), side, side, shapes=(3, 3))
    inputs = torch.from_numpy(scene.image.transpose(2, 0, 1)[None] / np.float32(255))
    maps = F.interpolate(torch.rand(1, COUNT, 9, 9, generator=generator), (side, side), mode="bicubic")[0]
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    maps = (maps - low) / (high - low)

    def score(total, batch):
        with torch.no_grad():
            return module(batch(0, total)).softmax(1)[:, CLASS]

    view = View((side, side), (0, 0, side, side), (side, side))
    truth = np.zeros((side, side), bool)
    truth[10:30, 20:50] = True
    case = Case(inputs[0], list(maps.numpy()), view, score, lambda _: [], list, truth=truth, forwards=33)
    return module, inputs, maps, case


def test_road_is_that_of_pytorch_grad_cam(asked, monkeypatch):
    road_peer = pytest.importorskip("pytorch_grad_cam.metrics.road")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget

    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)  # its noise cannot be switched off otherwise
    module, inputs, maps, case = asked
    metric = road_peer.ROADCombined()
    theirs = [metric(inputs, one[None].numpy(), [ClassifierOutputSoftmaxTarget(CLASS)], module)[0] for one in maps]
    assert np.ptp(theirs) > 0.005
    # a pixel more or less at each percentile
    np.testing.assert_allclose(road(case, noise=0.0), theirs, atol=0.02 * np.ptp(theirs) + 2e-4)


class Maps:
    """What torchcam takes for a CAM: maps that are there already."""

    def __init__(self, model, maps):
        self.model, self.maps = model, maps

    def __call__(self, *_args, **_settings):
        return [self.maps]

    def fuse_cams(self, maps):
        return maps[0]

    def _hooks_off(self):
        return nullcontext()


def torchcam(kind, asked, **settings):
    metrics = pytest.importorskip("torchcam.metrics")
    module, inputs, maps, _ = asked
    found = []
    for one in maps:
        metric = getattr(metrics, kind)(Maps(module, one[None]), lambda logits: logits.softmax(-1), **settings)
        metric.update(inputs, CLASS)
        found.append(list(metric.summary().values()))
    return np.array(found).T


def test_insertion_and_deletion_are_those_of_torchcam(asked):
    gone, back = torchcam("DeletionInsertionMetric", asked, steps=32)
    assert np.ptp(gone) > 0.005
    np.testing.assert_allclose(deletion(asked[3], end="mean"), gone, atol=1e-5)
    np.testing.assert_allclose(insertion(asked[3], start="mean"), back, atol=1e-5)


def test_average_drop_and_increase_are_those_of_torchcam(asked):
    drop, rise = torchcam("ClassificationMetric", asked)
    np.testing.assert_allclose(average_drop(asked[3]), drop, atol=1e-5)
    assert increase(asked[3]).tolist() == rise.tolist()


def quantus(kind, asked, **settings):
    peer = pytest.importorskip("quantus")
    module, inputs, maps, case = asked
    metric = getattr(peer, kind)(abs=False, normalize=False, disable_warnings=True, **settings)
    batch = inputs.expand(COUNT, -1, -1, -1).numpy()
    masks = np.broadcast_to(case.truth, (COUNT, 1, *case.truth.shape))
    found = metric(
        module, batch, np.full(COUNT, CLASS), a_batch=maps[:, None].numpy(), s_batch=masks, device="cpu"
    )  # fmt: skip
    return np.array(found, float)


def test_sparsity_is_that_of_quantus(asked):
    np.testing.assert_allclose(sparsity(asked[3]), quantus("Sparseness", asked), atol=1e-6)


def test_pointing_and_energy_are_those_of_quantus(asked):
    np.testing.assert_allclose(pointing(asked[3]), quantus("PointingGame", asked))
    np.testing.assert_allclose(energy(asked[3]), quantus("RelevanceMassAccuracy", asked), atol=1e-5)
