"""Whatever is attached to a model is taken off, and what is recorded stays as it was."""

import pytest
import torch
from torch import nn

from camviz.hooks.capture import borrowed, capture, first_tensor, with_first_tensor
from tests.helpers.modules import make
from tests.helpers.state import hook_count, state_of


def test_borrowed_gives_back_modes_and_requires_grad_also_after_an_error():
    module = make("plain")
    module.train()
    module.features[1].eval()
    module.fc.bias.requires_grad_(False)
    before = state_of(module)
    inside = []

    def fail() -> None:
        with borrowed(module):
            inside.append(state_of(module)[:2])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not any(inside[0][0] + inside[0][1])
    assert state_of(module) == before


def test_capture_leaves_no_hook_also_when_the_forward_fails():
    module = make("plain")
    with pytest.raises(RuntimeError), capture(module, ["features"], gradients=True):
        module(torch.zeros(1, 5, 8, 8))
    assert hook_count(module) == 0


def test_an_in_place_operation_behind_the_layer_does_not_change_the_record():
    module = make("inplace")
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = module.features[:4](x)
    assert (expected < 0).any()  # so that the ReLU behind it would change it
    for gradients in (False, True):
        with capture(module, ["features.3"], gradients) as recorded:
            module(x)
        torch.testing.assert_close(recorded["features.3"].detach(), expected)


def test_a_layer_that_passes_its_input_on_does_not_change_the_input():
    module = nn.Sequential(nn.Identity(), nn.Conv2d(3, 2, 1))
    x = torch.randn(1, 3, 4, 4)
    with capture(module, ["0"], gradients=True) as recorded:
        module(x)
    assert recorded["0"].requires_grad
    assert not x.requires_grad


def test_gradients_reach_every_captured_layer_and_nothing_else():
    module = make("residual")
    with borrowed(module), capture(module, ["stem", "block"], gradients=True) as recorded:
        out = module(torch.randn(1, 3, 32, 32))
    assert recorded["stem"].is_leaf  # the graph is cut there: nothing before it is differentiated
    assert not recorded["block"].is_leaf
    grads = torch.autograd.grad(out[0, 0], [recorded["stem"], recorded["block"]])
    assert all(g.abs().sum() > 0 for g in grads)
    assert all(p.grad is None for p in module.parameters())


def test_first_tensor_is_found_and_replaced_in_containers():
    from collections import namedtuple

    pair = namedtuple("pair", "a b")
    one, two, new = torch.zeros(1), torch.ones(1), torch.full((1,), 5.0)
    for output in ((one, two), [one, two], {"x": one, "y": two}, pair(one, two), (None, (one, two))):
        assert first_tensor(output) is one
        changed = with_first_tensor(output, new)
        assert type(changed) is type(output)
        assert first_tensor(changed) is new
        assert first_tensor(output) is one  # the original is not touched
    assert first_tensor("text") is None
