"""Weights files of models, and why they cannot be loaded."""

from __future__ import annotations

import pytest
import torch

import camviz
from camviz.errors import CheckpointError
from camviz.models.checkpoint import read_weights


def saved(tmp_path, module, name="my.pth", wrap=lambda state: state):
    torch.save(wrap(module.state_dict()), tmp_path / name)
    return tmp_path / name


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        camviz.load(path)
    assert f"'{path}'" in caught.value.message
    return caught.value.message, caught.value.hint


def read_state(path, allow_pickle: bool = False):
    """Return the tensors and notes that are read from a file."""
    weights = read_weights(path, allow_pickle)
    return weights.state, weights.notes
