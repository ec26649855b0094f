"""Other people's checkpoints, as they were found. The files are not part of the project: CAMVIZ_ASSETS names them."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
import torch

import camviz
from camviz.io.notebook import as_images
from camviz.models.load import load
from camviz.models.preprocess import prepare
from camviz.types import Model

ASSETS = Path(os.environ.get("CAMVIZ_ASSETS", ""))
WEIGHTS, IMAGES = ASSETS / "weights", ASSETS / "images"
pytestmark = pytest.mark.skipif(not os.environ.get("CAMVIZ_ASSETS"), reason="CAMVIZ_ASSETS is not set")

BURN = """
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3), nn.Conv2d(16, 24, 3)
        self.norm1, self.norm2 = nn.BatchNorm2d(24), nn.BatchNorm1d(10)
        self.fc1, self.fc2 = nn.Linear(11616, 32), nn.Linear(32, 10)

    def forward(self, x):
        x = self.norm1(F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))))
        return self.norm2(self.fc2(F.relu(self.fc1(x.flatten(1)))))
"""


def right(model: Model, files: list[Path], classes: list[int]) -> int:
    """How many of the images the model gets right."""
    found = 0
    for file, index in zip(files, classes, strict=True):
        [image] = as_images([file])
        values, _ = prepare(image, model.preprocessing, "model")
        with torch.no_grad():
            found += int(model.module(torch.from_numpy(values)[None]).argmax()) == index
    return found


def photos() -> tuple[list[Path], list[int]]:
    with (IMAGES / "imagenet_sample" / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [IMAGES / "imagenet_sample" / row["file"] for row in rows], [int(row["class_index"]) for row in rows]


def digits() -> tuple[list[Path], list[int]]:
    files = sorted((IMAGES / "mnist_test_100").glob("*.png"))
    return files, [int(file.name[0]) for file in files]


def cifar() -> tuple[list[Path], list[int]]:
    files = sorted((IMAGES / "cifar10_test_300").rglob("*.jpg"))
    names = sorted({file.parent.name for file in files})
    return files, [names.index(file.parent.name) for file in files]


@pytest.mark.parametrize(
    ("name", "architecture", "count"),
    [("mobilenet_v2_imagenet.pth", "mobilenet_v2", 42), ("squeezenet1_1_imagenet.pth", "squeezenet1_1", 32)],
)
def test_imagenet_models_from_their_file_alone(name, architecture, count):
    model = camviz.load(WEIGHTS / name)
    assert model.name == architecture
    assert len(model.labels) == 1000
    assert model.notes[0] == f"recognized: {architecture}"
    assert right(model, *photos()) == count


@pytest.mark.parametrize(
    ("module", "name", "settings", "count"),
    [
        ("ResNet20", "akamaster_resnet20_cifar10.th", {}, 89),
        (
            "TutorialNet",
            "phlippe_t5_ResNet_cifar10.ckpt",
            {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2470, 0.2435, 0.2616)},
            89,
        ),
        ("vit_cifar", "vit_cifar10_torchvision.pth", {"mean": (0.0,), "std": (1.0,)}, 40),
    ],
)
def test_cifar_models(module, name, settings, count):
    spec = f"{ASSETS / 'nets' / 'cifar_nets.py'}:{module}"
    model = load(spec, checkpoint=WEIGHTS / name, input_size=(32, 32), **settings)
    assert model.fitted is not None
    assert model.fitted[0] == model.fitted[1], "not all fitted"
    assert right(model, *cifar()) == count


@pytest.mark.parametrize(
    ("module", "name", "more"),
    [
        ("ResNet20", "akamaster_resnet20_cifar10.th", []),
        ("TutorialNet", "phlippe_t5_ResNet_cifar10.ckpt", []),
        ("vit_cifar", "vit_cifar10_torchvision.pth", ["--mean", 0, "--std", 1]),
    ],
)
def test_the_shortest_commands(run, tmp_path, module, name, more):
    file = IMAGES / "cifar10_test_300" / "cat" / "0000.jpg"
    spec = ["--model", f"{ASSETS / 'nets' / 'cifar_nets.py'}:{module}", "-c", WEIGHTS / name]
    result = run("heatmap", file, *spec, *more, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [str(tmp_path / "out" / "0000_gradcam.png")]


def test_what_packaging_was_taken_off_is_told():
    nets = ASSETS / "nets" / "cifar_nets.py"
    first = load(f"{nets}:ResNet20", checkpoint=WEIGHTS / "akamaster_resnet20_cifar10.th")
    assert first.notes[:3] == (
        "taken from 'state_dict'",
        "prefix 'module.' stripped",
        "checkpoint: 97 of 97 tensors fit",
    )
    second = load(f"{nets}:TutorialNet", checkpoint=WEIGHTS / "phlippe_t5_ResNet_cifar10.ckpt").notes
    assert second[:2] == ("taken from 'state_dict'", "prefix 'model.' stripped")
    assert second[2].startswith("hyper-parameters: model_name=ResNet, model_hparams={'num_classes': 10")


def test_safetensors_of_another_framework(tmp_path):
    (tmp_path / "net.py").write_text(BURN)
    model = load(
        f"{tmp_path / 'net.py'}:Net",
        checkpoint=WEIGHTS / "burn_mnist.safetensors",
        input_size=(28, 28),
        mean=(0.1307,),
        std=(0.3081,),
    )
    assert right(model, *digits()) >= 49


@pytest.mark.parametrize(
    "name",
    [
        "akamaster_resnet20_cifar10.th",
        "phlippe_t5_ResNet_cifar10.ckpt",
        "vit_cifar10_torchvision.pth",
        "burn_mnist.safetensors",
        "ssd_mnv1_075_coco.pth",
        "deeplabv3_mnv2_voc.pth",
    ],
)
def test_models_of_nobodys_library_are_asked_for(run, refused, name):
    result = run("heatmap", IMAGES / "misc" / "both.png", "--model", WEIGHTS / name)
    refused(
        result, "is for no architecture of torchvision or timm", f"--model net.py:Net --checkpoint {WEIGHTS / name}"
    )


@pytest.mark.parametrize(
    ("name", "options", "quoted"),
    [
        ("yolov5n_ppe.pt", [], ["models.yolo.Model", "runs code from the file", "--allow-pickle"]),
        ("yolov5n_ppe.pt", ["--allow-pickle"], ["whose code is not here", "No module named 'models'"]),
        ("phlippe_t3_FashionMNIST_relu_mlp.tar", [], ["nothing in it to draw a map from", "--method gradient"]),
        ("iosdemo_mobilenet_quantized.pt", ["--method", "gradcam"], ["'gradcam' needs a layer", "--method occlusion"]),
        ("iosdemo_mobilenet_quantized.pt", ["--method", "smoothgrad"], ["none reach the input", "occlusion or rise"]),
        ("vit4mnist.ptl", ["--method", "smoothgrad"], ["none reach the input", "occlusion or rise"]),
    ],
)
def test_what_cannot_be(run, refused, name, options, quoted):
    result = run("heatmap", IMAGES / "misc" / "both.png", "-q", "--model", WEIGHTS / name, *options)
    refused(result, *quoted)


def test_int8_torchscript(run, tmp_path):
    name = "iosdemo_mobilenet_quantized.pt"
    result = run("heatmap", IMAGES / "misc" / "both.png", "--model", WEIGHTS / name, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert f"occlusion, because no hook reaches the layers of TorchScript file '{name}'" in result.stderr
    model = camviz.load(WEIGHTS / name)
    assert right(model, *photos()) == 42
    [found] = camviz.explain(model, IMAGES / "misc" / "both.png", target="243", fit="squash")
    placed = found.view.place(found.values).clip(min=0)
    dog, cat = placed[12:148, 77:167].sum() / placed.sum(), placed[117:222, 33:200].sum() / placed.sum()
    assert dog > 0.4
    assert dog > 1.5 * cat


def test_torchscript_whose_weights_are_constants():
    files, classes = digits()
    model = camviz.load(WEIGHTS / "vit4mnist.ptl", mean=(0.1307,), std=(0.3081,))
    assert model.preprocessing.crop == (28, 28)
    assert right(model, files, classes) >= 49
    maps = camviz.explain(model, files[:3])
    assert [found.method for found in maps] == ["occlusion"] * 3
    assert all(found.values.shape == (28, 28) and found.values.max() > 0 for found in maps)
