"""What a model's output means: its parts, the activation inside, embeddings, and outputs without gradients."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import camviz
from camviz.errors import ModelError
from camviz.models.outputs import assumptions, forward, surveyed, understand
from camviz.models.survey import survey
from camviz.types import Model, Preprocessing
from tests.helpers.inputs import random_images

SIZE = Preprocessing(crop=(32, 32), resize=None)
Heads = namedtuple("Heads", "embedding scores")


class Net(nn.Module):
    """Features and a head; `end(self, features)` is the rest of the forward."""

    def __init__(self, end: Any, classes: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 16, 3, 2, 1)
        self.head = nn.Linear(16, classes)
        self.other = nn.Linear(16, 2)
        self.dense = nn.Conv2d(16, classes, 1)
        self.softmax, self.sigmoid = nn.Softmax(1), nn.Sigmoid()
        self.end = end

    def forward(self, x: torch.Tensor) -> Any:
        return self.end(self, self.conv(x).relu())


def pooled(features: torch.Tensor) -> torch.Tensor:
    return features.mean((2, 3))


def found(end: Any, classes: int = 5, **more: Any) -> Any:
    model = Model("net", Net(end, classes), SIZE, **more)
    return understand(model, survey(model.module, (32, 32), "net"))[0]


ENDS = {
    "function": (lambda net, f: F.softmax(net.head(pooled(f)), dim=1), "softmax"),
    "method": (lambda net, f: net.head(pooled(f)).softmax(-1), "softmax"),
    "module": (lambda net, f: net.softmax(net.head(pooled(f))), "softmax"),
    "exp of log": (lambda net, f: F.log_softmax(net.head(pooled(f)), 1).exp(), "softmax"),
    "log": (lambda net, f: net.head(pooled(f)).log_softmax(1), "log_softmax"),
    "reshaped": (lambda net, f: net.dense(f.mean((2, 3), keepdim=True)).softmax(1).flatten(1), "softmax"),
    "sigmoid": (lambda net, f: net.sigmoid(net.head(pooled(f))), "sigmoid"),
    "in place": (lambda net, f: net.head(pooled(f)).sigmoid_(), "sigmoid"),
    "none": (lambda net, f: net.head(pooled(f)), ""),
    "attention inside": (lambda net, f: net.head((f * f.flatten(2).softmax(-1).view_as(f)).sum((2, 3))), ""),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_activation_at_the_end_is_found_and_left_out(name):
    end, activation = ENDS[name]
    model = found(end)
    assert model.output.ending.activation == activation
    assert model.output.task == ("multilabel" if activation == "sigmoid" else "classification")
    inputs = torch.rand(2, 3, 32, 32)
    output, logits = model.module(inputs).detach(), forward(model, inputs).detach()
    again = {"softmax": logits.softmax(1), "log_softmax": logits.log_softmax(1), "sigmoid": logits.sigmoid()}
    assert torch.allclose(again.get(activation, logits), output, atol=1e-6)
    if activation:
        assert not torch.allclose(logits, output)
    assert torch.equal(model.module(inputs), output)  # the module is as it was


@pytest.mark.parametrize("end", ["softmax", "log_softmax", "sigmoid"])
@pytest.mark.parametrize("method", ["gradcam", "cam", "scorecam", "gradient"])
def test_the_map_is_that_of_the_logits(end, method):
    plain = Net(lambda net, f: net.head(pooled(f)))
    ends = {
        "softmax": lambda net, f: net.head(pooled(f)).softmax(1),
        "log_softmax": lambda net, f: F.log_softmax(net.head(pooled(f)), 1),
        "sigmoid": lambda net, f: torch.sigmoid(net.head(pooled(f))),
    }
    task = {"task": "multilabel"} if end == "sigmoid" else {}
    settings = {"input_size": (32, 32), **task}
    images = random_images(1)
    [expected] = camviz.explain(camviz.load(plain, **settings), images, method=method, target=2, layer="conv")
    [actual] = camviz.explain(camviz.load(Net(ends[end]), **settings), images, method=method, target=2, layer="conv")
    assert abs(actual.values - expected.values).max() <= 1e-3 * max(float(abs(expected.values).max()), 1e-9)
    assert actual.probability == pytest.approx(expected.probability, abs=1e-6)


def test_probabilities_that_are_mixed_are_found_by_their_values():
    model = found(lambda net, f: (net.head(pooled(f)).softmax(1) + (2 * net.head(pooled(f))).softmax(1)) / 2)
    assert (model.output.ending.activation, model.output.inverted) == ("softmax", True)
    assert model.output.sources["activation"] == "from the values"
    inputs = torch.rand(1, 3, 32, 32)
    assert torch.allclose(forward(model, inputs).softmax(1), model.module(inputs), atol=1e-6)


PARTS = {
    "tuple": (lambda net, f: (pooled(f), net.head(pooled(f))), "1", "from the graph"),
    "reversed": (lambda net, f: [net.head(pooled(f)), pooled(f)], "0", "from the graph"),
    "dict": (lambda net, f: {"features": f, "logits": net.head(pooled(f))}, "logits", "from the name"),
    "namedtuple": (lambda net, f: Heads(pooled(f), net.head(pooled(f))), "scores", "from the name"),
    "nested": (lambda net, f: {"a": {"features": pooled(f)}, "b": (net.head(pooled(f)), None)}, "b.0", "only"),
    "probabilities first": (lambda net, f: (lambda z: (z.softmax(1), z))(net.head(pooled(f))), "1", "from the graph"),
    "logits first": (lambda net, f: (lambda z: (z, z.sigmoid()))(net.head(pooled(f))), "0", "from the graph"),
    "with a scale": (lambda net, f: (net.head(pooled(f)), torch.tensor(3.0)), "0", "only part"),
}


@pytest.mark.parametrize("name", PARTS)
def test_the_part_that_is_read(name):
    end, key, source = PARTS[name]
    output = found(end).output
    assert output.key == key if name != "nested" else output.key in ("b.0", "a.features")
    if name == "nested":
        assert (output.key, output.sources["part"]) == ("b.0", "from the graph")
    else:
        assert output.sources["part"] == source


def test_the_number_of_labels_chooses_a_part():
    end = lambda net, f: {"age": net.head(pooled(f)), "kind": net.other(pooled(f))}  # noqa: E731
    assert found(end, labels=("young", "old")).output.key == "kind"
    assert found(end, labels=tuple("abcde")).output.sources["part"] == "from the labels"


def test_equal_heads_are_listed_with_their_shapes():
    with pytest.raises(ModelError) as caught:
        found(lambda net, f: {"age": net.head(pooled(f)), "kind": net.other(pooled(f))})
    assert "age (5)" in caught.value.message
    assert "kind (2)" in caught.value.message
    assert caught.value.hint == "--output-key age"


def test_a_chosen_part_chooses_its_layers():
    def end(net: Net, features: torch.Tensor) -> Any:
        return {"age": net.head(pooled(features)), "map": net.dense(features).mean((2, 3))}

    model = replace(found(end, output_key="age"), output=None)
    assert "dense" not in [run.path for run in surveyed(model).layers]
    assert "dense" in [run.path for run in surveyed(replace(model, output_key="map")).layers]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda net, f: F.normalize(net.head(pooled(f)), dim=1), "normalized"),
        (lambda net, f: (lambda z: z / z.norm(dim=1, keepdim=True))(net.head(pooled(f))), "normalized"),
        (lambda net, f: pooled(f), "no classifier"),
        (lambda net, f: f.flatten(1)[:, :64].contiguous(), "no classifier"),
    ],
)
def test_embeddings_have_no_classes(end, reason):
    output = found(end).output
    assert output.task == "embedding"
    assert reason in output.ending.embedding
    assert found(end, labels=tuple(map(str, range(output.classes)))).output.task == "classification"


@pytest.mark.parametrize(
    ("end", "width", "task"),
    [
        (lambda net, f: F.batch_norm(net.head(pooled(f)), torch.zeros(10), torch.ones(10)), 10, "classification"),
        (lambda net, f: F.batch_norm(net.head(pooled(f)), torch.zeros(128), torch.ones(128)), 128, "embedding"),
        (lambda net, f: F.layer_norm(net.head(pooled(f)), (10,)).relu(), 10, "classification"),
        (lambda net, f: net.head(pooled(f)) * 3.0, 128, "classification"),
        (lambda net, f: pooled(net.dense(f).relu()), 10, "classification"),
        (lambda net, f: pooled(net.dense(f).relu()), 128, "embedding"),
        (lambda net, f: pooled(F.conv2d(f, torch.zeros(10, f.shape[1], 3, 3)).relu()), 10, "embedding"),
    ],
)
def test_class_scores_behind_a_last_norm_or_activation(end, width, task):
    model = found(end, width)
    assert model.output.task == task
    assert bool(assumptions(model)) == (task == "classification")


@pytest.mark.parametrize(
    ("end", "classes", "task"),
    [
        (lambda net, f: net.head(pooled(f)), 1, "regression"),
        (lambda net, f: net.head(pooled(f))[:, 0], 1, "regression"),
        (lambda net, f: net.head(pooled(f)).sigmoid().squeeze(1), 1, "binary"),
        (lambda net, f: net.dense(f.mean((2, 3), keepdim=True)), 4, "classification"),
        (lambda net, f: net.dense(f).sigmoid(), 3, "segmentation"),
        (lambda net, f: net.dense(f)[:, 0].sigmoid(), 1, "segmentation"),
        (lambda net, f: net.dense(f)[:, 0], 1, "dense"),
        (lambda net, f: [{"boxes": f, "scores": f, "labels": f}], 1, "detection"),
    ],
)
def test_tasks_by_shape_and_ending(end, classes, task):
    assert found(end, classes).output.task == task


@pytest.mark.parametrize(
    ("end", "word"),
    [
        (lambda net, f: net.head(pooled(f)).argmax(1), "argmax"),
        (lambda net, f: net.dense(f).argmax(1).float(), "argmax"),
        (lambda net, f: torch.fft.fft(net.head(pooled(f))), "complex"),
        (lambda net, f: net.head(pooled(f)).to(torch.int64), "int64"),
        (lambda net, f: "a cat", "str"),
    ],
)
def test_outputs_that_no_gradient_reaches(end, word):
    with pytest.raises(ModelError, match=word):
        found(end)


def test_a_module_that_ran_twice_is_left_out_once():
    """The gate in the middle and the end share one module: only the last call is the end."""
    model = found(lambda net, f: net.sigmoid(net.head(pooled(f * net.sigmoid(f)))))
    inputs = torch.rand(1, 3, 32, 32)
    assert torch.allclose(forward(model, inputs).sigmoid(), model.module(inputs), atol=1e-6)


def test_outputs_of_other_precisions_become_rows():
    model = found(lambda net, f: SimpleNamespace(x=1) and net.head(pooled(f)))
    model.module.double()
    assert forward(model, torch.rand(1, 3, 32, 32)).dtype == torch.float64
