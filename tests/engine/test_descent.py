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


def gradient(layers: nn.Module, inputs: torch.Tensor, read) -> tuple[torch.Tensor, str]:
    """d read(rows)/d(inputs), and the name of the node that autograd goes on from."""
    inputs.requires_grad_()
    scores = torch.stack([read(row) for row in layers(inputs)])
    with torch.no_grad():
        edge, below = descent.descend(scores, ())
    (found,) = torch.autograd.grad(edge, inputs, below)
    return found, type(edge.node).__name__


def test_by_hand():
    """The gradient of a class is its row of W; behind a ReLU, the sum of the rows of what is above zero."""
    last = head(nn.Linear(2, 2))
    last[0].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    found, _ = gradient(last, torch.ones(1, 2), lambda row: row[1])
    assert found.tolist() == [[3.0, 4.0]]
    both = head(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    for layer in (both[0], both[2]):
        layer.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    both[0].bias.copy_(torch.tensor([-100.0, 0.0]))  # of the two hidden units only the second lives: 4 * (3, 4)
    found, node = gradient(both, torch.ones(1, 2), lambda row: row[1])
    assert found.tolist() == [[12.0, 16.0]]
    assert node == "AccumulateGrad"  # all of the way


@pytest.mark.parametrize("read", [lambda row: row[4], lambda row: row[4] - row[5], lambda row: row.softmax(-1)[4]])
@pytest.mark.parametrize("pictures", [1, 3])
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
def test_it_is_that_of_autograd(layers, end, pictures, read):
    inputs = torch.randn(pictures, 3, 4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    (expected,) = torch.autograd.grad(torch.stack([read(row) for row in layers(inputs)]).sum(), inputs)
    found, node = gradient(layers, inputs.detach(), read)
    torch.testing.assert_close(found, expected)
    if pictures == 1 and read(torch.arange(10.0)) == 4:  # of one class: nothing else is on the way
        assert node.startswith((end, "View" if end == "Reshape" else end))


def test_it_stops_where_gradients_are_wanted_and_where_weights_have_them():
    layers = head(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    hidden = layers[0](torch.randn(1, 6).requires_grad_())
    rows = layers[2](layers[1](hidden))
    edge, _ = descent.descend(torch.stack([rows[0][1]]), {hidden.grad_fn})
    assert edge.node is hidden.grad_fn
    layers.requires_grad_(True)
    rows = layers(torch.randn(1, 6).requires_grad_())
    edge, share = descent.descend(torch.stack([rows[0][1]]), ())
    assert edge.node is rows.grad_fn
    assert share.tolist() == [[0.0, 1.0, 0.0, 0.0]]


def test_of_one_class_only_its_row_is_read():
    """The other rows may hold anything."""
    layer = head(nn.Linear(3, 4))
    layer[0].weight[1:] = torch.nan
    found, _ = gradient(layer, torch.ones(1, 3), lambda row: row[0])
    assert found.tolist() == layer[0].weight[:1].tolist()


@pytest.mark.parametrize("score", ["logit", "prob"])
def test_a_reading_goes_that_way(monkeypatch, score):
    starts = []
    real = descent.descend

    def seen(*given):
        edge, below = real(*given)
        starts.append(type(edge.node).__name__)
        return edge, below

    monkeypatch.setattr("camviz.engine.probe.descend", seen)
    explainer = Explainer(model("plain"), Job())
    passed = run_forward(explainer.ask, torch.randn(1, 3, 32, 32))
    target = Target("second", lambda row: row.softmax(-1)[1] if score == "prob" else row[1], index=1)
    reading = Reading(passed, [target])
    (expected,) = torch.autograd.grad(reading.scores.sum(), list(passed.captured.values()), retain_graph=True)
    [found] = reading.gradients.values()
    torch.testing.assert_close(found, expected)
    [start] = starts
    assert start == ("SoftmaxBackward0" if score == "prob" else "MeanBackward1")


def test_half_precision_is_one_product(monkeypatch):
    monkeypatch.delattr("torch.nn.functional.embedding_bag")
    share = torch.tensor([[0.0, 1.0]], dtype=torch.bfloat16)
    assert descent._times(share, torch.ones(2, 3, dtype=torch.bfloat16)).tolist() == [[1.0] * 3]


def test_rows_in_parts_add_up():
    """Forty live rows of a hundred, shared by eight sums; of the other picture one."""
    weights = torch.arange(300.0).reshape(100, 3)
    share = torch.zeros(2, 100)
    share[0, 5:45], share[1, 99] = 1, 2
    expected = torch.stack([weights[5:45].sum(0), 2 * weights[99]])
    assert torch.equal(descent._times(share, weights), expected)
