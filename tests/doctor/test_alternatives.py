"""What is concluded from other ways to show the images."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from camviz.doctor import diagnose
from camviz.doctor.alternatives import Judge, alternatives, running_layers, statistics_gap
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
    reverse = next(other for other in tried if other.kind == "channel order").inputs(len(REDDISH))
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


def test_a_small_but_steady_rise_is_certain():
    """One outlier hides it from the mean and its standard error, not from the signs."""
    judge = Judge("the score", lambda x: x, 8, 3, 0.1, False, ())
    now = torch.zeros(32)
    steady = torch.full((32,), 0.3)
    steady[0] = 60.0
    assert judge.better(now, steady) > 0
    mixed = steady.clone()
    mixed[1:13] = -0.2
    assert judge.better(now, mixed) == 0
    assert judge.better(now[:7], steady[:7]) == 0  # too few
    assert judge.better(now, steady / 1000) == 0  # too little


class Blurred(nn.Module):
    """Tells four shades apart at 64×64, unsure; below it is sure of the first class whatever it sees."""

    def forward(self, x):
        if x.shape[2] < 64:
            return torch.tensor([[9.0, 0, 0, 0]]).expand(len(x), 4) + 0 * x.mean((1, 2, 3))[:, None]
        centers = torch.tensor([0.1, 0.3, 0.6, 0.9])
        return -30 * (x.mean((1, 2, 3))[:, None] - centers).square()


def test_more_confidence_at_another_size_is_no_evidence():
    """MobileNetV2 is surer at 64×64, and wrong."""
    shades = [Image(shade(level)) for level in range(0, 256, 16)]
    found = diagnose(
        Model("net", Blurred(), Preprocessing((64, 64), 64, (0.0,) * 3, (1.0,) * 3)), shades, method="gradient"
    )
    assert "normalization" not in names(found), str(found)
