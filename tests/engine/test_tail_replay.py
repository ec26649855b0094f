"""Recorded outputs take the place of modules, and the parts of one image are spread over a batch."""

from __future__ import annotations

from collections import namedtuple

import torch
from torch import nn

from camviz.engine.tail_replay import copied, finished_before, mapped, spread, substituted
from camviz.models.survey import survey

Pair = namedtuple("Pair", "left right")


def test_within_the_block_modules_return_what_was_recorded():
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    inputs = torch.ones(1, 2)
    before = module(inputs)
    with substituted(module, {"0": torch.tensor([[-1.0, 5.0]])}):
        assert module(inputs).tolist() == [[0, 5]]
    assert torch.equal(module(inputs), before)
    assert "forward" not in module[0].__dict__


def test_the_outermost_modules_that_finished():
    module = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Conv2d(4, 4, 3), nn.ReLU()).eval()
    assert sorted(finished_before(survey(module, (16, 16)), "2")) == ["0", "1"]


def test_the_part_of_one_image_without_copying():
    batch = torch.arange(6.0).reshape(3, 2)
    part = spread(batch, 1, 3, 4)
    assert part.tolist() == [[2, 3]] * 4
    assert part.data_ptr() == batch[1:2].data_ptr()
    assert spread(torch.ones(5), 1, 3, 4).shape == (5,)


def test_containers_are_rebuilt():
    output = {"a": Pair(torch.ones(1), [torch.ones(2), "text"]), "b": None}
    doubled = mapped(output, lambda tensor: tensor * 2)
    assert doubled["a"].left.tolist() == [2]
    assert isinstance(doubled["a"], Pair)
    assert doubled["a"].right[1] == "text"
    copy = copied(output)
    output["a"].left.add_(1)
    assert copy["a"].left.tolist() == [1]
