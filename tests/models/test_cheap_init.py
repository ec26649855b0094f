"""Modules without memory, or without initialization."""

import torch
from torch import nn

from camviz.models.cheap_init import parameters_on_meta, without_initialization


def test_big_models_are_built_without_memory():
    with parameters_on_meta():
        module = nn.Linear(10**6, 10**6)
    assert module.weight.is_meta


def test_parameters_on_meta_and_buffers_that_are_computed():
    with parameters_on_meta():
        module = nn.Linear(3, 2)
        steps = torch.linspace(0, 1, 3)
    assert module.weight.is_meta
    assert steps.tolist() == [0, 0.5, 1]
    assert not nn.Linear(3, 2).weight.is_meta


def test_without_initialization_nothing_is_drawn():
    values = torch.zeros(50)
    with without_initialization():
        assert values.normal_() is values
        assert values.uniform_(1, 2) is values
    assert not values.any()
    assert values.uniform_(1, 2).all()
