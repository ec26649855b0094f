"""Randomized weights: which layers, in which order, and statistics that fit the new weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import camviz
from camviz.engine.randomize import by_layer, cascade, randomized, randomized_copies, reestimate_statistics
from camviz.types import Model, Preprocessing
from tests.helpers.modules import SIZE, make


@pytest.fixture
def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Linear(4, 50)).eval()


def test_weights_are_lost_from_the_top(module):
    before = {key: value.clone() for key, value in module.state_dict().items()}
    stages = randomized_copies(module, ["0", "1", "2", "3", "4"], 4)
    first, last = stages[0].module, stages[-1].module
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
    layers = [parameters for _, parameters in by_layer(net, ["attention", "head", "attention"])]
    assert sum(map(len, layers)) == len(list(net.parameters()))
    assert set(map(id, layers[0])) == set(map(id, net.head.parameters()))
    assert set(map(id, layers[1])) == set(map(id, net.attention.parameters()))
    assert layers[2][0] is net.token


def test_the_same_seed_randomizes_the_same(module):
    first, again, other = (
        randomized_copies(module, ["0", "4"], 1, seed)[0].module.get_parameter("4.weight") for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_randomized_weights_are_the_same_values_in_another_order():
    model = Model("plain", make("plain"), Preprocessing((SIZE, SIZE), SIZE))
    before = [parameter.clone() for parameter in model.module.parameters()]
    copy = randomized(model)
    for original, other, was in zip(model.module.parameters(), copy.module.parameters(), before, strict=True):
        assert torch.equal(original, was)
        assert torch.equal(original.flatten().sort().values, other.flatten().sort().values)
    assert not torch.equal(model.module.fc.weight, copy.module.fc.weight)


def test_statistics_are_those_of_the_batch_through_the_layers_before(module):
    """Two normalizations in a row: the second sees the output of the first one with its new statistics."""
    net = nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(), nn.BatchNorm2d(2)).eval()
    batch = 5 * torch.rand(4, 2, 3, 3) + 7
    reestimate_statistics(net, batch, ["0", "1", "2"])
    mean, variance = batch.mean((0, 2, 3)), batch.var((0, 2, 3), correction=0)
    assert torch.allclose(net[0].running_mean, mean)
    assert torch.allclose(net[0].running_var, variance)
    normalized = ((batch - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()).clamp(min=0)
    assert torch.allclose(net[2].running_mean, normalized.mean((0, 2, 3)), atol=1e-5)
    assert not net.training


def test_a_cascade_keeps_the_statistics_below_the_randomized_layers():
    demo = camviz.load("demo")
    first, last = cascade(demo, 4)[0].module, cascade(demo, 4)[-1].module
    buffers = dict(demo.module.named_buffers())
    means = [name for name in buffers if name.endswith("running_mean")]
    assert torch.equal(first.get_buffer(means[0]), buffers[means[0]])
    assert not torch.equal(last.get_buffer(means[0]), buffers[means[0]])
    assert not torch.equal(first.get_buffer(means[-1]), buffers[means[-1]])


def test_scores_of_randomized_weights_stay_in_the_range_of_trained_ones():
    """Without new statistics the scores of the bundled model's randomized copy grow by orders of magnitude."""
    demo = camviz.load("demo")
    inputs = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        trained, random = (model.module(inputs).abs().max() for model in (demo, randomized(demo)))
    assert 0.01 < random / trained < 100
