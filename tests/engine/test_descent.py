"""The gradient down the last layers is autograd's, whatever of their weights is read."""

import pytest
import torch
from torch import nn

from camviz.engine import descent
from camviz.engine.explain import Explainer
from camviz.engine.forward import run_forward
from camviz.engine.probe import Reading
from camviz.types import Job, Target
from tests.engine.test_explain import model


def head(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*layers).requires_grad_(False)


def gradient(layers: nn.Module, inputs: torch.Tensor, share: torch.Tensor) -> tuple[torch.Tensor, str]:
    """dS/d(inputs), and the name of the node that autograd goes on from."""
    inputs.requires_grad_()
    with torch.no_grad():
        edge, below = descent.descend(with_grad(layers, inputs), share, ())
    (found,) = torch.autograd.grad(edge, inputs, below)
    return found, type(edge.node).__name__


def with_grad(layers, inputs):
    with torch.enable_grad():
        return layers(inputs)


def test_by_hand():
    """Rows of W: (1, 2), (3, 4), (5, 6); the scores' gradient (0, 10, 0), of the second picture (1, 0, 100)."""
    layer = head(nn.Linear(2, 3, bias=True))
    layer[0].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    found, _ = gradient(layer, torch.ones(2, 2), torch.tensor([[0.0, 10.0, 0.0], [1.0, 0.0, 100.0]]))
    assert found.tolist() == [[30.0, 40.0], [501.0, 602.0]]


@pytest.mark.parametrize("shares", ["one class", "one class each", "all", "none"])
@pytest.mark.parametrize(
    ("layers", "end"),
    [
        (head(nn.Flatten(), nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), "Reshape"),
        (head(nn.Flatten(), nn.Linear(48, 64), nn.GELU(), nn.Linear(64, 10, bias=False)), "Mm"),
        (head(nn.Flatten(), nn.Linear(48, 64), nn.GELU(), nn.Linear(64, 10)), "Gelu"),
        (head(nn.Flatten(), nn.Linear(48, 10), nn.ReLU(inplace=True)), "Reshape"),
        (head(nn.Flatten(), nn.Linear(48, 10), nn.Softmax(1)), "Softmax"),
    ],
)
def test_it_is_that_of_autograd(layers, end, shares):
    inputs = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    share = torch.zeros(3, 10)
    if shares == "one class":
        share[1, 4] = 1
    elif shares == "one class each":
        share[[0, 1, 2], [7, 0, 7]] = torch.tensor([1.0, -2.0, 3.0])
    elif shares == "all":
        share = torch.randn(3, 10, generator=torch.Generator().manual_seed(2))
    (expected,) = torch.autograd.grad(layers(inputs), inputs, share)
    found, node = gradient(layers, inputs.detach(), share)
    torch.testing.assert_close(found, expected)
    assert node.startswith((end, "View" if end == "Reshape" else end))


def test_it_stops_where_gradients_are_wanted_and_where_weights_have_them():
    layers = head(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    inputs = torch.randn(1, 6).requires_grad_()
    hidden = layers[0](inputs)
    rows = layers[2](layers[1](hidden))
    edge, _ = descent.descend(rows, torch.ones_like(rows), {hidden.grad_fn})
    assert edge.node is hidden.grad_fn
    layers.requires_grad_(True)
    rows = layers(inputs)
    edge, share = descent.descend(rows, torch.ones_like(rows), ())
    assert edge.node is rows.grad_fn
    assert share.tolist() == [[1.0] * 4]


def test_of_one_class_only_its_row_is_read():
    """The other rows may hold anything."""
    layer = head(nn.Linear(3, 4))
    layer[0].weight[1:] = torch.nan
    found, _ = gradient(layer, torch.ones(1, 3), torch.tensor([[2.0, 0.0, 0.0, 0.0]]))
    assert found.tolist() == (2 * layer[0].weight[:1]).tolist()


@pytest.mark.parametrize("score", ["logit", "prob"])
def test_a_reading_goes_that_way(monkeypatch, score):
    calls = []
    real = descent.descend
    monkeypatch.setattr("camviz.engine.probe.descend", lambda *given: calls.append(1) or real(*given))
    explainer = Explainer(model("plain"), Job())
    passed = run_forward(explainer.ask, torch.randn(2, 3, 32, 32))
    target = Target("second", lambda row: row.softmax(-1)[1] if score == "prob" else row[1], index=1)
    reading = Reading(passed, [target, target])
    (expected,) = torch.autograd.grad(reading.scores.sum(), list(passed.captured.values()), retain_graph=True)
    [found] = reading.gradients.values()
    torch.testing.assert_close(found, expected)
    assert calls


def test_what_is_no_row_of_scores_is_left_to_autograd():
    rows = torch.zeros(2, 3, requires_grad=True) * 1
    assert descent.descends(rows)
    assert not descent.descends(rows.double())
    assert not descent.descends(rows[..., None])
    assert not descent.descends(rows.detach())
    assert not descent.descends([rows])


def test_rows_in_parts_add_up():
    """Forty live rows of a hundred, shared by eight sums; of the other picture one."""
    weights = torch.arange(300.0).reshape(100, 3)
    share = torch.zeros(2, 100)
    share[0, 5:45], share[1, 99] = 1, 2
    expected = torch.stack([weights[5:45].sum(0), 2 * weights[99]])
    assert torch.equal(descent._times(share, weights), expected)
