"""A model without what it has learned: what is shuffled, in which order, and what stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from camviz.engine.randomize import by_layer, cascade, shuffled
from camviz.types import Model, Preprocessing
from tests.helpers.modules import SIZE, make


@pytest.fixture
def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Linear(4, 50)).eval()


def test_weights_are_lost_from_the_top(module):
    before = {key: value.clone() for key, value in module.state_dict().items()}
    first, *_, last = cascade(module, ["0", "1", "2", "3", "4"], 4)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())

    def same(copy, name):
        return torch.equal(copy.get_parameter(name), module.get_parameter(name))

    assert not same(first, "4.weight")
    assert all(same(first, name) for name in ("0.weight", "3.weight"))
    assert not any(same(last, name) for name in ("0.weight", "3.weight", "4.weight"))
    assert first.get_parameter("0.weight") is module.get_parameter("0.weight")  # not copied
    assert torch.equal(first.get_parameter("4.weight"), last.get_parameter("4.weight"))  # a cascade
    assert torch.equal(last[4].weight.flatten().sort()[0], module[4].weight.flatten().sort()[0])
    assert not last.training
    assert last[1].running_var is not module[1].running_var


def test_every_parameter_belongs_to_a_layer():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.zeros(3))
            self.attention = nn.MultiheadAttention(4, 2)  # its projection never runs by itself
            self.head = nn.Linear(4, 2)

    net = Net()
    layers = by_layer(net, ["attention", "head", "attention"])
    assert sum(len(own) for own in layers) == len(list(net.parameters()))
    assert {id(one) for one in layers[0]} == {id(one) for one in net.head.parameters()}
    assert {id(one) for one in layers[1]} == {id(one) for one in net.attention.parameters()}
    assert layers[2][0] is net.token


def test_the_same_seed_shuffles_the_same(module):
    one, two, three = (cascade(module, ["0", "4"], 1, seed)[0].get_parameter("4.weight") for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_a_shuffled_twin_has_the_same_values_in_other_places():
    module = Model("plain", make("plain"), Preprocessing((SIZE, SIZE), SIZE))
    before = [p.clone() for p in module.module.parameters()]
    twin = shuffled(module)
    for own, other, was in zip(module.module.parameters(), twin.module.parameters(), before, strict=True):
        assert torch.equal(own, was)
        assert torch.equal(own.flatten().sort().values, other.flatten().sort().values)
    assert not torch.equal(module.module.fc.weight, twin.module.fc.weight)
    assert twin.module.fc.weight.shape == module.module.fc.weight.shape
