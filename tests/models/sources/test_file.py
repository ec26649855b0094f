"""A weights file alone: its architecture, classes and notes, or why there is none."""

from __future__ import annotations

import torch
from torchvision import models

import camviz
from camviz.models.catalog import imagenet_labels
from camviz.models.cheap_init import without_initialization
from camviz.models.recognize import shapes_of
from tests.helpers.weights_files import refusal, saved


def shapes(name: str, **arguments) -> dict[str, tuple[int, ...]]:
    """Of a torchvision model, built without memory."""
    with torch.device("meta"):
        return shapes_of(models.get_model(name, weights=None, **arguments).state_dict())


def test_a_file_alone_is_enough(tmp_path):
    torch.manual_seed(0)
    module = models.squeezenet1_1().eval()
    path = saved(tmp_path, module, wrap=lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}})
    model = camviz.load(path)
    assert (model.name, model.labels) == ("squeezenet1_1", imagenet_labels())
    assert model.notes[0] == "recognized: squeezenet1_1"
    assert "prefix 'module.' stripped" in model.notes
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.module(image), module(image))


def test_a_lightning_file_alone(tmp_path):
    module = models.squeezenet1_1(num_classes=5)
    path = saved(tmp_path, module, "a.ckpt", lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}})
    model = camviz.load(path)
    assert model.labels == ()
    assert model.module(torch.zeros(1, 3, 64, 64)).shape == (1, 5)
    assert "prefix 'model.' stripped" in model.notes


def test_other_classes_and_channels(tmp_path):
    module = models.resnet18(num_classes=5)
    module.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    model = camviz.load(saved(tmp_path, module.eval()))
    image = torch.rand(1, 1, 64, 64)
    assert torch.equal(model.module(image), module(image))
    assert (model.labels, model.preprocessing.mean) == ((), (0.0,))
    assert "'conv1' takes 1 channel(s) instead of 3" in model.notes


def test_a_vit_of_another_size_is_shown_images_of_that_size(tmp_path):
    with without_initialization():
        module = models.vit_b_32(image_size=64)
    model = camviz.load(saved(tmp_path, module))
    assert model.preprocessing.crop == (64, 64)
    assert model.module(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def test_several_candidates_are_listed(tmp_path):
    module = models.get_model("fasterrcnn_mobilenet_v3_large_fpn", weights=None, weights_backbone=None)
    message, hint = refusal(saved(tmp_path, module))
    names = "fasterrcnn_mobilenet_v3_large_320_fpn, fasterrcnn_mobilenet_v3_large_fpn"
    assert f"fits 2 architectures: {names}" in message
    assert f"--checkpoint {tmp_path / 'my.pth'}" in hint


def test_no_architecture(tmp_path, net):
    message, hint = refusal(saved(tmp_path, net()))
    assert "for no architecture of torchvision or timm (6 tensors, such as features.0.weight 8×3×3×3)" in message
    assert hint == f"--model net.py:Net --checkpoint {tmp_path / 'my.pth'}"


def test_another_width(tmp_path):
    message, _ = refusal(saved(tmp_path, models.mobilenet_v2(width_mult=0.5)))
    assert "has the tensors of mobilenet_v2 by name, but in other shapes" in message


def test_a_body_without_its_head(tmp_path):
    module = models.resnet18()
    module.fc = torch.nn.Identity()
    message, hint = refusal(saved(tmp_path, module))
    assert "has the body of resnet18, timm:resnet18, timm:resnetblur18 and no head" in message
    assert "--checkpoint" in hint


def test_fully_connected_layers_draw_no_map(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(784, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
    message, hint = refusal(saved(tmp_path, module, "mlp.tar"))
    assert "holds fully connected layers only" in message
    assert "nothing in it to draw a map from" in message
    assert "--method gradient" in hint
