"""Sparsity, sensitivity and sanity, by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from camviz.metrics.robustness import sensitivity
from camviz.metrics.sanity import by_layer, cascade, sanity, spearman
from camviz.metrics.sparsity import gini, sparsity

# sparsity


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1, 1, 1], 0),
        ([0, 0, 0, 5], 3 / 4),  # one of d says all: 1 - 1/d
        ([1, 3], 1 - 2 * (1 / 4 * 3 / 4 + 3 / 4 * 1 / 4)),
        ([-1, 3], 1 / 4),  # sizes count, not signs
        ([0, 0], 0),
        ([np.nan, 1, 1], 0),
    ],
)
def test_gini(values, expected):
    assert gini(np.array([values], np.float32)) == pytest.approx(expected)


def test_sparsity_does_not_depend_on_the_scale(case):
    found = sparsity(case([[0.0]], [[[1, 2, 3]], [[10, 20, 30]]]))
    assert found[0] == pytest.approx(found[1])


# sensitivity


def test_sensitivity_is_the_largest_change_over_the_length(case):
    answers = [[np.array([[3, 4]]), np.array([[0, 0]])], [np.array([[6, 8]]), np.array([[0, 1]])]]
    asked = case([[0.0]], [[[3, 4]], [[0, 2]]], again=lambda inputs: answers)
    assert sensitivity(asked) == pytest.approx([1, 1])  # |(3, 4)| / 5, and |(0, -2)| / 2


def test_the_noise_is_within_its_radius_and_the_same_every_time(case):
    given = []

    def again(inputs):
        given.append(inputs)
        return [[np.ones((1, 1))] for _ in inputs]

    asked = case(np.zeros((30, 30)), [[[1]]], again=again)
    asked.std = (0.5,)
    for _ in range(2):
        sensitivity(asked, samples=5, radius=0.1)
    assert given[0].shape == (5, 1, 30, 30)
    assert torch.equal(*given)
    assert 0.19 < float(given[0].max()) <= 0.2  # a tenth of full scale is 0.2 to a network with std 0.5
    assert -0.2 <= float(given[0].min()) < -0.19


def test_the_sensitivity_of_a_blank_map_is_unknown(case):
    assert np.isnan(sensitivity(case([[0.0]], [[[0]]], again=lambda inputs: [[np.ones((1, 1))]])))


# sanity


def test_spearman_by_hand():
    a = np.array([1, 2, 3, 4])
    assert spearman(a, a**3) == pytest.approx(1)
    assert spearman(a, -a) == pytest.approx(-1)
    assert spearman(a, np.array([2, 1, 4, 3])) == pytest.approx(1 - 6 * 4 / (4 * 15))
    # ties share their mean rank: ranks 0.5 0.5 2 against 0 1 2
    assert spearman(np.array([1, 1, 5]), np.array([1, 2, 3])) == pytest.approx(1.5 / np.sqrt(1.5 * 2))
    assert spearman(a, np.ones(4)) == 0
    assert spearman(a, np.array([1, 2, np.nan, 4])) == 0


def test_sanity_is_the_mean_over_the_cascade(case):
    original, turned = np.array([[1, 2, 3]]), np.array([[3, 2, 1]])
    asked = case([[0.0]], [original, original], shuffled=lambda: [[original, turned], [turned, turned]])
    assert sanity(asked) == pytest.approx([0, -1])


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Linear(4, 50)).eval()


def test_weights_are_lost_from_the_top(network):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    first, *_, last = cascade(network, ["0", "1", "2", "3", "4"], 4)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())

    def same(copy, name):
        return torch.equal(copy.get_parameter(name), network.get_parameter(name))

    assert not same(first, "4.weight")
    assert all(same(first, name) for name in ("0.weight", "3.weight"))
    assert not any(same(last, name) for name in ("0.weight", "3.weight", "4.weight"))
    assert first.get_parameter("0.weight") is network.get_parameter("0.weight")  # not copied
    assert torch.equal(first.get_parameter("4.weight"), last.get_parameter("4.weight"))  # a cascade
    assert torch.equal(last[4].weight.flatten().sort()[0], network[4].weight.flatten().sort()[0])
    assert not last.training
    assert last[1].running_var is not network[1].running_var


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


def test_the_same_seed_shuffles_the_same(network):
    one, two, three = (cascade(network, ["0", "4"], 1, seed)[0].get_parameter("4.weight") for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
