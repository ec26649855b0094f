"""Names and notes in figures."""

from __future__ import annotations

import numpy as np
import pytest

from camviz.render.names import blank_note, method_name, model_name, scale_label, source_name, target_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [("runs/a/best.pth", "best"), ("C:\\nets\\net.py:Net", "net.py:Net"), ("resnet18", "resnet18"), ("a.tar", "a")],
)
def test_a_model_is_called_by_the_stem_of_its_file(name, shown):
    assert model_name(name) == shown


def test_methods_and_units(make):
    assert (method_name("gradcam"), method_name("mine")) == ("Grad-CAM", "mine")
    assert scale_label(make([[1]], method="gradcam")) == "Grad-CAM, score units"
    assert scale_label(make([[1]], method="rise")) == "RISE"


def test_targets_and_sources(make):
    assert target_name(make([[1]], target="owl", probability=0.25, score=3.0)) == "owl 25.0 %"
    assert target_name(make([[1]], target="owl", probability=None, score=3.0)) == "owl 3"
    assert target_name(make([[1]], target="owl", probability=None, score=float("nan"))) == "owl"
    assert source_name(make([[1]], layer="conv", model="a/net.pth")) == "conv of net"
    assert source_name(make([[1]], layer="input", model="a/net.pth")) == "net"


@pytest.mark.parametrize(
    ("values", "sign", "note"),
    [
        ([1, -1], "positive", ""),
        ([-1, -2], "positive", "no positive value"),
        ([1, 0], "negative", "no negative value"),
        ([-1, -2], "both", ""),
        ([0, 0], "both", "zero everywhere"),
        ([np.nan, np.inf], "both", "no finite value"),
    ],
)
def test_why_nothing_can_be_seen(values, sign, note):
    assert blank_note(np.float32([values]), sign) == note
