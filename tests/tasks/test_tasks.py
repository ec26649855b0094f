"""Which task a model has, and which part of its output counts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

import camviz
from camviz.engine.tail_replay import mapped
from camviz.errors import CamvizError, ModelError, UnknownName
from camviz.hooks.capture import first_tensor, part_of, with_first_tensor
from camviz.tasks import described
from tests.helpers.inputs import random_images
from tests.helpers.modules import make


@dataclass
class Result:
    loss: torch.Tensor | None
    logits: torch.Tensor


class Several(nn.Module):
    """A classifier that gives its scores among other things."""

    def __init__(self) -> None:
        super().__init__()
        self.net = make("plain")

    def forward(self, x):
        scores = self.net(x)
        return {"wrong": scores.mean(0), "parts": [scores, scores.flip(1)], "result": Result(None, scores)}


def test_output_key_finds_its_way_through_mappings_sequences_and_dataclasses():
    output = Several()(torch.rand(2, 3, 32, 32))
    assert part_of(output, "parts.1", "net") is output["parts"][1]
    assert part_of(output, "parts.-2", "net") is output["parts"][0]
    assert part_of(output, "result.logits", "net") is output["result"].logits
    assert part_of(output, "", "net") is output


@pytest.mark.parametrize(
    ("key", "missing", "hint"),
    [("logit", "logit", "wrong, parts, result"), ("parts.2", "2", "0, 1"), ("wrong.x", "x", "leave --output-key out")],
)
def test_a_part_that_is_not_there(key, missing, hint):
    with pytest.raises(ModelError, match=f"has no '{missing}'") as caught:
        part_of(Several()(torch.rand(1, 3, 32, 32)), key, "net")
    assert hint in caught.value.hint


def test_maps_of_a_model_with_several_outputs_are_those_of_the_one_inside():
    module = Several()
    model = camviz.load(module, input_size=(32, 32), output_key="result")
    [expected] = camviz.explain(camviz.load(module.net, input_size=(32, 32)), random_images(1), target=1)
    [found] = camviz.explain(model, random_images(1), target=1)
    assert found.score == pytest.approx(expected.score, rel=1e-6)
    torch.testing.assert_close(torch.from_numpy(found.values), torch.from_numpy(expected.values))


def test_a_dataclass_is_changed_by_making_another():
    given = Result(None, torch.ones(1, 2))
    assert first_tensor(given) is given.logits
    zeros = torch.zeros(1, 2)
    assert with_first_tensor(given, zeros).logits is zeros
    assert (mapped(given, lambda tensor: tensor * 3).logits == 3).all()
    assert (given.logits == 1).all()


def test_outputs_are_described():
    assert described({"a": torch.zeros(1, 3), "b": [torch.zeros(2)]}) == "{a: 1×3, b: list of 2}"


def test_an_unknown_task_gets_the_nearest():
    with pytest.raises(UnknownName, match="no task 'clasification'"):
        camviz.load(make("plain"), task="clasification")


def test_a_wrong_task_is_told():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    conv = camviz.load(module, task="classification", input_size=(32, 32))
    with pytest.raises(CamvizError, match="not one row of class scores"):
        camviz.explain(conv, random_images(1), layer="0")
