"""A convolution and its normalisation in one: the same output, and the network as it was."""

import pytest
import torch
from torch import nn

from camviz.engine.explain import Explainer
from camviz.engine.folding import WORTH, find_folds, fold, folded
from camviz.engine.forward import rescore
from camviz.types import Job, Target
from tests.engine.test_explain import model

SECOND = Target("second", lambda rows: rows[..., 1], index=1)


class Net(nn.Module):
    """Two convolutions with normalisation; `kind` says what disturbs the first."""

    def __init__(self, kind: str = "") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.one, self.norm = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4)
        self.two, self.norm_two = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4, affine=False)
        self.fc = nn.Linear(4, 4)
        for norm in (self.norm, self.norm_two):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(self.norm.weight, 0.5, 2)
        nn.init.normal_(self.norm.bias)
        self.eval().requires_grad_(False)

    def forward(self, x):
        one = self.one(x)
        made = torch.relu(self.norm(one))
        if self.kind == "read twice":
            made = made + one
        if self.kind == "run twice":
            made = made + self.norm(self.one(x.flip(3)))
        return self.fc(torch.relu(self.norm_two(self.two(made))).mean((2, 3)))


def folds_of(network, inputs):
    with torch.inference_mode():
        return find_folds(network, lambda: network(inputs))


def test_by_hand():
    """s = 6/√(3.5 + 0.5) = 3; weight 2 becomes 6, bias 1 becomes 3·(1 - 5) + 7 = -5."""
    conv, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.5)
    with torch.no_grad():
        for tensor, value in ((conv.weight, 2), (conv.bias, 1), (norm.weight, 6), (norm.bias, 7)):
            tensor.fill_(value)
        norm.running_mean.fill_(5)
        norm.running_var.fill_(3.5)
    both = fold(conv, norm.eval())
    assert both.weight.item() == pytest.approx(6)
    assert both.bias.item() == pytest.approx(-5)
    with folded([both]), torch.no_grad():
        assert norm(conv(torch.full((1, 1, 1, 1), 10.0))).item() == pytest.approx(55)
    assert norm(conv(torch.full((1, 1, 1, 1), 10.0))).item() == pytest.approx(3 * (21 - 5) + 7)


def test_the_output_is_the_same_and_the_network_comes_back():
    network, inputs = Net(), torch.randn(2, 3, 32, 32)
    expected = network(inputs)
    folds = folds_of(network, inputs)
    assert [one.conv for one in folds] == [network.one, network.two]
    with folded(folds):
        assert network.norm(inputs) is inputs  # it has nothing left to do
        torch.testing.assert_close(network(inputs), expected)
    assert torch.equal(network(inputs), expected)
    assert "forward" not in network.one.__dict__
    assert "forward" not in network.norm.__dict__


def test_what_something_else_reads_is_found_out_and_nothing_is_folded():
    network = Net("read twice")
    assert folds_of(network, torch.randn(1, 3, 32, 32)) == []


def test_what_runs_twice_is_left_alone():
    network = Net("run twice")
    assert [one.conv for one in folds_of(network, torch.randn(1, 3, 32, 32))] == [network.two]


def test_what_has_a_hook_is_left_alone():
    network = Net()
    network.one.register_forward_hook(lambda *_: None)
    assert [one.conv for one in folds_of(network, torch.randn(1, 3, 32, 32))] == [network.two]


def test_weights_larger_than_what_they_save_are_left_alone():
    assert folds_of(Net(), torch.randn(1, 3, 6, 6)) == []  # 108 weights, 36 values


def test_many_forwards_are_folded_and_score_the_same():
    network, inputs = Net(), torch.randn(WORTH, 3, 32, 32)
    asked = model("plain")
    ask = Explainer(type(asked)("net", network, asked.preprocessing), Job()).ask
    few = rescore(ask, SECOND, WORTH - 1, lambda start, stop: inputs[start:stop])
    assert ask.chunks.folds is None
    many = rescore(ask, SECOND, WORTH, lambda start, stop: inputs[start:stop])
    assert len(ask.chunks.folds) == 2
    torch.testing.assert_close(many[:-1], few)
    torch.testing.assert_close(many, network(inputs)[:, 1])


def test_half_precision_is_left_alone():
    network, inputs = Net(), torch.randn(WORTH, 3, 32, 32)
    asked = model("plain")
    ask = Explainer(type(asked)("net", network, asked.preprocessing), Job(precision="bf16")).ask
    rescore(ask, SECOND, WORTH, lambda start, stop: inputs[start:stop])
    assert ask.chunks.folds == []
