"""Files of checkpoints for the tests of their readers."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def save(tmp_path):
    def write(content, name="a.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def saved(net, tmp_path):
    """`saved(content, "a.pth")`: whatever `torch.save` takes; nothing given: the tiny model's state_dict."""

    def save(content=None, name: str = "a.pth", **settings):
        torch.save(net(seed=5).state_dict() if content is None else content, tmp_path / name, **settings)
        return tmp_path / name

    return save
