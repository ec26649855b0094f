"""The survey of a model runs it once and leaves it as it was."""

import pytest
import torch
from torch import nn

from camviz.errors import ModelError
from camviz.models.survey import survey
from tests.helpers.modules import SIZE, make


def test_the_survey_leaves_the_model_as_it_was():
    module = make("plain").train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    seen = survey(module, (SIZE, SIZE))
    assert seen.output_shape == (4,)
    assert [one.path for one in seen.layers][:2] == ["features.0", "features.1"]
    assert module.training
    assert all(not m._forward_hooks for m in module.modules())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(p.device.type == "cpu" and p.requires_grad for p in module.parameters())


def test_the_survey_falls_back_to_a_real_forward_where_the_meta_device_cannot_go():
    class Choosy(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = make("plain")

        def forward(self, x):
            return self.inner(x) if x.sum().item() == 0 else None  # .item() does not exist on meta

    assert survey(Choosy(), (SIZE, SIZE)).find("inner.features.3").shape == (8, 8, 8)


def test_an_input_the_model_does_not_take():
    with pytest.raises(ModelError, match="vit does not accept an input of 40×40"):
        survey(make("vit"), (40, 40), "vit")
