"""A forward pass that ends at a layer gives what the whole pass gives there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from camviz.feature_maps.early_exit import Reader
from camviz.models.layers import find_layers
from camviz.models.survey import survey
from camviz.types import Model, Preprocessing
from tests.helpers.inputs import seeded
from tests.helpers.modules import MODELS, SIZE, make

HOW = Preprocessing((SIZE, SIZE), SIZE)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_stopping_at_a_layer_gives_what_the_whole_forward_gives(name):
    model = Model(name, make(name), HOW)
    seen = survey(model.module, HOW.crop)
    inputs = torch.randn(2, 3, SIZE, SIZE, generator=seeded())
    for layer in find_layers(model, ["*"], seen):
        kept = {}
        handle = model.module.get_submodule(layer.path).register_forward_hook(
            lambda _m, _i, output, kept=kept: kept.update(output=output.detach().clone())
        )
        with torch.no_grad():
            model.module(inputs)
            handle.remove()
            assert torch.equal(Reader.at(model, layer, seen).output(inputs), kept["output"])


def test_nothing_behind_the_layer_runs():
    model = Model("residual", make("residual"), HOW)
    seen = survey(model.module, HOW.crop)
    ran = []
    for path, part in model.module.named_children():
        part.register_forward_hook(lambda *_, path=path: ran.append(path))
    [layer] = find_layers(model, ["stem"], seen)
    Reader.at(model, layer, seen).output(torch.zeros(1, 3, SIZE, SIZE))
    assert ran == ["stem"]


class Twice(nn.Module):
    """One convolution run twice, in a forward that swallows every exception."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 2)

    def forward(self, x):
        try:
            return self.fc(self.conv(self.conv(x)).mean((2, 3)))
        except Exception:
            return x


def test_a_layer_that_runs_twice_is_read_the_last_time():
    model = Model("twice", Twice().eval(), HOW)
    seen = survey(model.module, HOW.crop)
    [layer] = find_layers(model, ["conv"], seen)
    inputs = torch.randn(1, 3, SIZE, SIZE, generator=seeded())
    with torch.no_grad():
        expected = model.module.conv(model.module.conv(inputs))
        assert torch.equal(Reader.at(model, layer, seen).output(inputs), expected)


def test_the_gradient_reaches_the_input():
    model = Model("plain", make("inplace"), HOW)
    seen = survey(model.module, HOW.crop)
    [layer] = find_layers(model, ["features.1"], seen)
    inputs = torch.randn(1, 3, SIZE, SIZE, generator=seeded()).requires_grad_()
    [found] = torch.autograd.grad(Reader.at(model, layer, seen).maps(inputs).sum(), inputs)
    [expected] = torch.autograd.grad(model.module.features[1](model.module.features[0](inputs)).sum(), inputs)
    torch.testing.assert_close(found, expected)
