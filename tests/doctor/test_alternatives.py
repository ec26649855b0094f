"""What is concluded from other ways to show the images."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from camviz.doctor import diagnose
from camviz.doctor.alternatives import alternatives, running_layers, statistics_gap
from camviz.doctor.examination import Examination
from camviz.types import Image, Model, Preprocessing, Request
from tests.helpers.sick_models import REDDISH, Colors, Sure, names, shade


def test_of_a_model_that_learned_nothing_no_more_is_concluded(tmp_path: Path):
    """It is sure of something by chance: neither of its inputs nor of its classes can that say anything."""
    fresh = nn.BatchNorm2d(3)
    for reddish in (Colors(), nn.Sequential(fresh, Colors())):
        found = diagnose(Model("net", reddish, Preprocessing((64, 64), 64, order="bgr")), REDDISH, method="gradient")
        learned_nothing = fresh in reddish.modules()
        assert ("untrained" in names(found)) == learned_nothing
        assert ("normalization" in names(found)) != learned_nothing, str(found)
    called = tuple(f"thing {letter}" for letter in "fghijabcde")
    shown = [Image(shade(25 * i), tmp_path / f"thing {'abcdefghij'[i]}.jpg") for i in range(10)]
    how = Preprocessing((64, 64), 64, (0.0,) * 3, (1.0,) * 3)
    found = diagnose(Model("net", nn.Sequential(fresh, Sure()), how, called), shown, method="gradient")
    assert "untrained" in names(found)
    assert "labels" not in names(found)


def examination(module: nn.Module, how: Preprocessing) -> Examination:
    return Examination(Model("net", module, how), Request(), [Image(image) for image in REDDISH])


def test_the_other_channel_order_and_normalizations_are_tried():
    tried = list(alternatives(examination(Colors(), Preprocessing((64, 64), 64, order="bgr"))))
    assert [other.options for other in tried if other.kind == "channel order"] == ["--channel-order rgb"]
    assert not any("0.485" in other.options for other in tried), "that is its normalization already"
    assert [other.name for other in tried if other.kind == "orientation"] == ["upside down", "transposed"]
    reverse = next(other for other in tried if other.kind == "channel order").inputs()
    e = examination(Colors(), Preprocessing((64, 64), 64))
    assert torch.allclose(reverse, e.inputs[: len(reverse)], atol=1e-5)


def test_the_gap_to_running_statistics_by_hand():
    """Normal distributions with means 0 and 1 and variance 1: KL divergence 1/2, so log 1.5; equal ones: 0."""
    norm = nn.BatchNorm2d(1).eval()
    norm.running_mean.fill_(1)
    inputs = torch.tensor([-1.0, 1, -1, 1]).reshape(1, 1, 2, 2)
    e = examination(norm, Preprocessing((64, 64), 64))
    gap = statistics_gap(e, torch.cat([inputs, inputs + 1]))
    assert gap.shape == (2, 1)
    assert gap.flatten().tolist() == pytest.approx([math.log(1.5), 0], abs=1e-4)
    assert running_layers(nn.Sequential(norm, nn.BatchNorm2d(1))) == [norm]
