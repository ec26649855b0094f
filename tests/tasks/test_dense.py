"""Targets of scores at every place: outputs, names, contrasts."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch

from camviz.errors import ModelError, RequestError
from camviz.tasks.outputs import NO_ENDING
from camviz.tasks.segmentation import Segmentation
from tests.helpers.segments import ROW, chosen, task


def test_one_class_less_another():
    target = chosen("cat vs dog", ROW + torch.tensor([0.0, 0.0, 1.0])[:, None, None])
    assert float(target.read(ROW)) == pytest.approx(3 + 11 / 3)
    assert target.label == "cat vs dog"


def test_the_region_stays_where_the_score_is_read_from_another_output():
    target = chosen("cat")
    assert float(target.read(torch.zeros_like(ROW) + 7)) == pytest.approx(7)


def test_outputs_of_all_kinds():
    plain = torch.rand(2, 3, 8, 8)
    assert Segmentation.recognizes(plain[:1], (), NO_ENDING)
    assert not Segmentation.recognizes(torch.rand(1, 512, 7, 7), (), NO_ENDING)  # feature maps
    assert task().rows(OrderedDict(out=plain, aux=plain[:, :2]), 2) is not None
    torch.testing.assert_close(task().rows(OrderedDict(loss=None, logits=plain), 2), plain)
    with pytest.raises(ModelError, match="2×3"):
        task().rows(torch.rand(2, 3), 2)


def test_class_names_must_be_as_many_as_the_classes():
    with pytest.raises(RequestError, match="3 class names for net, which has 4 classes"):
        task().check(task().parse(["top1"]), torch.rand(1, 4, 8, 8))
