"""Models side by side: which have copies, and that a copy is the same model."""

from __future__ import annotations

from functools import partial
from threading import Lock

import pytest
import torch
from torch import nn

import camviz
from camviz.engine.replicas import sibling, small
from camviz.types import Request


@pytest.fixture
def model(net):
    return camviz.load(net(), input_size=(32, 32))


def test_a_sibling_shares_the_weights_and_nothing_else(model):
    other = sibling(model)
    ours, theirs = dict(model.module.named_parameters()), dict(other.module.named_parameters())
    assert other.module is not model.module
    assert all(ours[name] is theirs[name] for name in ours)
    other.module.fc.register_forward_hook(lambda *_: torch.zeros(1))
    image = torch.rand(2, 3, 32, 32)
    assert model.module(image).shape == (2, 4)
    assert other.module(image).shape == (1,)


@pytest.mark.parametrize(
    "entangle",
    [
        lambda module: module.fc.register_forward_hook(lambda *_: None),
        lambda module: module.features.register_forward_pre_hook(lambda *_: None),
        lambda module: setattr(module, "act", lambda x: module.fc(x)),
        lambda module: setattr(module, "act", module.forward),
        lambda module: setattr(module, "act", partial(module.forward)),
        lambda module: setattr(module, "lock", Lock()),
    ],
    ids=["hook", "pre-hook", "function", "method", "partial", "cannot be copied"],
)
def test_what_may_lead_back_to_the_original_has_no_sibling(model, entangle):
    entangle(model.module)
    assert sibling(model) is None


def test_small_is_what_one_thread_does_quickly():
    def of(side: int, parameters: int) -> bool:
        module = nn.Conv2d(3, 1, 1)
        module.weights = nn.Parameter(torch.zeros(1).expand(parameters - 4))
        return small(camviz.load(module, input_size=(side, side)))

    assert of(224, 50_000_000)
    assert not of(224, 50_000_001)
    assert not of(448, 13_000_000)  # four times the pixels
    assert of(112, 190_000_000)


def test_light_methods_of_small_models_run_side_by_side(model, monkeypatch):
    from camviz.engine.explain import Explainer
    from camviz.run.replicas import lanes_for

    monkeypatch.setenv("CAMVIZ_CORES", "3")

    def lanes(*methods: str, **more) -> int:
        job = Request(methods=methods, **more)
        return len(lanes_for(job, Explainer(model, job)))

    assert lanes("gradcam", "cam") == 3
    assert lanes("gradcam", "rise") == 1  # many forwards have all threads for themselves
    assert lanes("gradcam", smooth="aug") == 1
    model.module.fc.register_forward_hook(lambda *_: None)
    assert lanes("gradcam") == 1
