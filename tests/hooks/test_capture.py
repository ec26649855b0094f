"""Whatever is attached to a network is taken off, and what is recorded stays as it was."""

import pytest
import torch
from torch import nn

from camviz.hooks.capture import borrowed, capture, first_tensor, with_first_tensor
from tests.helpers.modules import make


def hook_count(network: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in network.modules())


def state_of(network: nn.Module) -> tuple[list[bool], list[bool], list[bool]]:
    return (
        [m.training for m in network.modules()],
        [p.requires_grad for p in network.parameters()],
        [p.grad is None for p in network.parameters()],
    )


def test_borrowed_gives_back_modes_and_requires_grad_also_after_an_error():
    network = make("plain")
    network.train()
    network.features[1].eval()
    network.fc.bias.requires_grad_(False)
    before = state_of(network)
    inside = []

    def fail() -> None:
        with borrowed(network):
            inside.append(state_of(network)[:2])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not any(inside[0][0] + inside[0][1])
    assert state_of(network) == before


def test_capture_leaves_no_hook_also_when_the_forward_fails():
    network = make("plain")
    with pytest.raises(RuntimeError), capture(network, ["features"], gradients=True):
        network(torch.zeros(1, 5, 8, 8))
    assert hook_count(network) == 0


def test_an_in_place_operation_behind_the_layer_does_not_change_the_record():
    network = make("inplace")
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = network.features[:4](x)
    assert (expected < 0).any()  # so that the ReLU behind it would change it
    for gradients in (False, True):
        with capture(network, ["features.3"], gradients) as recorded:
            network(x)
        torch.testing.assert_close(recorded["features.3"].detach(), expected)


def test_a_layer_that_passes_its_input_on_does_not_change_the_input():
    network = nn.Sequential(nn.Identity(), nn.Conv2d(3, 2, 1))
    x = torch.randn(1, 3, 4, 4)
    with capture(network, ["0"], gradients=True) as recorded:
        network(x)
    assert recorded["0"].requires_grad
    assert not x.requires_grad


def test_gradients_reach_every_captured_layer_and_nothing_else():
    network = make("residual")
    with borrowed(network), capture(network, ["stem", "block"], gradients=True) as recorded:
        out = network(torch.randn(1, 3, 32, 32))
    assert recorded["stem"].is_leaf  # the graph is cut there: nothing before it is differentiated
    assert not recorded["block"].is_leaf
    grads = torch.autograd.grad(out[0, 0], [recorded["stem"], recorded["block"]])
    assert all(g.abs().sum() > 0 for g in grads)
    assert all(p.grad is None for p in network.parameters())


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
