"""Weights files of models, and why they cannot be loaded."""

from __future__ import annotations

import pytest
import torch

import camviz
from camviz.errors import CheckpointError


def saved(tmp_path, module, name="my.pth", wrap=lambda state: state):
    torch.save(wrap(module.state_dict()), tmp_path / name)
    return tmp_path / name


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        camviz.load(path)
    assert f"'{path}'" in caught.value.message
    return caught.value.message, caught.value.hint
