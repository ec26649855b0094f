"""Exported programs: layers where the batch is dynamic, and the architecture they are of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

import camviz
from camviz.errors import ModelError
from tests.helpers.modules import make

SIZE = 32


def export(tmp_path, module, count=1, dynamic=False):
    shapes = ({0: torch.export.Dim("n", min=1, max=64)},) if dynamic else None
    program = torch.export.export(module, (torch.rand(count, 3, SIZE, SIZE),), dynamic_shapes=shapes)
    torch.export.save(program, str(tmp_path / "a.pt2"))
    return tmp_path / "a.pt2"


def test_an_exported_program_with_a_dynamic_batch_has_layers(tmp_path, pixels):
    module = make("plain")
    model = camviz.load(export(tmp_path, module, 2, dynamic=True))
    assert model.preprocessing.crop == (SIZE, SIZE)
    [found] = camviz.explain(model, pixels(SIZE, SIZE), layer="features.3", method="gradcam")
    own = camviz.load(module, input_size=(SIZE, SIZE))
    [expected] = camviz.explain(own, pixels(SIZE, SIZE), layer="features.3", method="gradcam")
    assert np.allclose(found.values, expected.values, atol=1e-6)


def test_an_exported_program_for_one_image_works_without_layers(tmp_path, pixels):
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3072, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x.reshape(1, 3072))

    model = camviz.load(export(tmp_path, One().eval()))
    maps = camviz.explain(model, [pixels(SIZE, SIZE, seed) for seed in range(2)], batch_size=2)
    assert [found.method for found in maps] == ["occlusion", "occlusion"]
    with pytest.raises(ModelError, match="was exported for one image at a time"):
        camviz.explain(model, pixels(SIZE, SIZE), method="gradcam")


def test_the_tensors_of_an_exported_program_go_into_a_model_from_python(tmp_path, net, net_file):
    module = net(seed=5).eval()
    model = camviz.load(f"{net_file}:Net", checkpoint=export(tmp_path, module))
    assert torch.equal(model.module.fc.weight, module.fc.weight)


@pytest.mark.slow
def test_an_exported_program_of_a_known_architecture_is_rebuilt(tmp_path):
    module = models.squeezenet1_1(num_classes=6).eval()
    program = torch.export.export(module, (torch.rand(1, 3, 64, 64),))
    torch.export.save(program, str(tmp_path / "a.pt2"))
    model = camviz.load(tmp_path / "a.pt2")
    assert type(model.module) is type(module)
    assert model.notes[0] == "torch.export archive, rebuilt with the same scores"
