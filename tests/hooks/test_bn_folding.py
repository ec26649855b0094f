"""A convolution and its normalization in one: the same output, and the model as it was."""

import pytest
import torch
from torch import nn

from camviz.engine.explain import Explainer
from camviz.engine.forward import rescore
from camviz.hooks.bn_folding import WORTH, find_pairs, fold, folded
from camviz.types import Request, Target
from tests.helpers.inputs import model

SECOND = Target("second", lambda rows: rows[..., 1], index=1)


class Net(nn.Module):
    """Two convolutions with normalization; `kind` says what disturbs the first."""

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
        if self.kind == "seldom":  # and not by a first input: nothing of it is seen in the output
            made = made + one * 1e-9
        if self.kind == "in place":
            made = torch.relu(self.norm(torch.relu_(one)))
        if self.kind == "named":
            made = torch.relu(self.norm(input=self.one(input=x)))
        if self.kind == "infinite":
            made = made / 0
        if self.kind == "run twice":
            made = made + self.norm(self.one(x.flip(3)))
        return self.fc(torch.relu(self.norm_two(self.two(made))).mean((2, 3)))


def pairs_of(module, inputs):
    with torch.inference_mode():
        return find_pairs(module, inputs, module)


def test_by_hand():
    """s = 6/√(3.5 + 0.5) = 3; weight 2 becomes 6, bias 1 becomes 3·(1 - 5) + 7 = -5."""
    conv, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.5)
    with torch.no_grad():
        for tensor, value in ((conv.weight, 2), (conv.bias, 1), (norm.weight, 6), (norm.bias, 7)):
            tensor.fill_(value)
        norm.running_mean.fill_(5)
        norm.running_var.fill_(3.5)
    weight, bias = fold(conv, norm.eval())
    assert weight.item() == pytest.approx(6)
    assert bias.item() == pytest.approx(-5)
    with folded([(conv, norm)]), torch.no_grad():
        assert norm(conv(torch.full((1, 1, 1, 1), 10.0))).item() == pytest.approx(55)
    assert norm(conv(torch.full((1, 1, 1, 1), 10.0))).item() == pytest.approx(3 * (21 - 5) + 7)


def test_the_output_is_the_same_and_the_model_comes_back():
    module, inputs = Net(), torch.randn(2, 3, 32, 32)
    expected = module(inputs)
    pairs = pairs_of(module, inputs)
    assert [conv for conv, _ in pairs] == [module.one, module.two]
    with folded(pairs):
        assert module.norm(inputs) is inputs  # it has nothing left to do
        torch.testing.assert_close(module(inputs), expected)
    assert torch.equal(module(inputs), expected)
    assert "forward" not in module.one.__dict__
    assert "forward" not in module.norm.__dict__


@pytest.mark.parametrize("kind", ["read twice", "seldom", "in place", "named"])
def test_what_something_else_reads_or_nobody_can_follow_is_left_alone(kind):
    module, inputs = Net(kind), torch.randn(2, 3, 32, 32)
    pairs = pairs_of(module, inputs[:1])
    assert [conv for conv, _ in pairs] == [module.two]
    with folded(pairs):
        found = module(inputs)
    torch.testing.assert_close(found, module(inputs))


def test_where_the_output_says_nothing_nothing_is_folded():
    assert pairs_of(Net("infinite"), torch.randn(1, 3, 32, 32)) == []


def test_what_autograd_does_not_see_is_seen_in_the_output():
    """Another reader, behind a detach."""

    class Detached(Net):
        def forward(self, x):
            one = self.one(x)
            return self.fc(torch.relu(self.norm(one)).mean((2, 3)) + one.detach().mean((2, 3)))

    assert pairs_of(Detached(), torch.randn(1, 3, 32, 32)) == []


def test_the_weights_are_those_of_now_and_an_error_leaves_nothing_behind():
    module, inputs = Net(), torch.randn(1, 3, 32, 32)
    pairs = pairs_of(module, inputs)
    module.one.weight.mul_(2)
    module.norm.running_mean.add_(1)
    expected = module(inputs)
    with folded(pairs):
        torch.testing.assert_close(module(inputs), expected)
    with pytest.raises(ZeroDivisionError), folded(pairs):
        raise ZeroDivisionError
    assert "forward" not in module.one.__dict__
    assert "forward" not in module.norm.__dict__


def test_what_runs_twice_is_left_alone():
    module = Net("run twice")
    assert [conv for conv, _ in pairs_of(module, torch.randn(1, 3, 32, 32))] == [module.two]


def test_what_has_a_hook_is_left_alone():
    module = Net()
    module.one.register_forward_hook(lambda *_: None)
    assert [conv for conv, _ in pairs_of(module, torch.randn(1, 3, 32, 32))] == [module.two]


def test_weights_larger_than_what_they_save_are_left_alone():
    assert pairs_of(Net(), torch.randn(1, 3, 6, 6)) == []  # 108 weights, 36 values


def test_many_forwards_are_folded_and_score_the_same():
    module, inputs = Net(), torch.randn(WORTH, 3, 32, 32)
    asked = model("plain")
    ask = Explainer(type(asked)("net", module, asked.preprocessing), Request()).ask
    few = rescore(ask, SECOND, WORTH - 1, lambda start, stop: inputs[start:stop])
    assert ask.chunks.pairs is None
    many = rescore(ask, SECOND, WORTH, lambda start, stop: inputs[start:stop])
    assert len(ask.chunks.pairs) == 2
    torch.testing.assert_close(many[:-1], few)
    torch.testing.assert_close(many, module(inputs)[:, 1])


def test_what_cannot_be_looked_at_is_scored_all_the_same(monkeypatch):
    def broken(*_given):
        raise RuntimeError

    monkeypatch.setattr("camviz.engine.forward.find_pairs", broken)
    module, inputs = Net(), torch.randn(WORTH, 3, 32, 32)
    asked = model("plain")
    ask = Explainer(type(asked)("net", module, asked.preprocessing), Request()).ask
    found = rescore(ask, SECOND, WORTH, lambda start, stop: inputs[start:stop])
    torch.testing.assert_close(found, module(inputs)[:, 1])


def test_half_precision_is_left_alone():
    module, inputs = Net(), torch.randn(WORTH, 3, 32, 32)
    asked = model("plain")
    ask = Explainer(type(asked)("net", module, asked.preprocessing), Request(precision="bf16")).ask
    rescore(ask, SECOND, WORTH, lambda start, stop: inputs[start:stop])
    assert ask.chunks.pairs == []
