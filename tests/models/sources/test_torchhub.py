"""torch.hub repositories in a folder: the functions of hubconf.py."""

from __future__ import annotations

import pytest

import camviz
from camviz.errors import RequestError, UnknownName

CODE = """
import torch
from torch import nn
import helper

def tiny(pretrained=True, width=4):
    net = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nn.init.constant_(net[0].weight, helper.TRAINED if pretrained else 0.0)
    return net
"""


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "hubconf.py").write_text(CODE)
    (tmp_path / "helper.py").write_text("TRAINED = 2.0")
    return tmp_path


def test_a_function_of_hubconf_is_called(repository):
    model = camviz.load(f"torchhub:{repository}:tiny", arguments={"width": 6})
    weight = model.module[0].weight
    assert (weight.shape[0], float(weight.detach().mean())) == (6, 2.0)
    assert not camviz.load(f"torchhub:{repository}:tiny", weights="none").module[0].weight.any()


@pytest.mark.parametrize(
    ("spec", "error", "hint"),
    [
        ("torchhub:{0}", RequestError, "torchhub:{0}:NAME"),
        ("torchhub:{0}:tinny", UnknownName, "tiny"),
        ("torchhub:owner/repository:tiny", RequestError, "git clone https://github.com/owner/repository"),
    ],
)
def test_what_is_missing_is_named(spec, error, hint, repository):
    with pytest.raises(error) as caught:
        camviz.load(spec.format(repository))
    assert hint.format(repository) in caught.value.hint
