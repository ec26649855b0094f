"""labels, preprocess, inputs and outputs of a model's own file, and the same arguments in Python."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

import camviz
from camviz.errors import ModelError, RequestError
from camviz.io.notebook import as_images
from camviz.models.preprocess import prepare

NET = """
import torch
from torch import nn
from torchvision import transforms

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU()), nn.Linear(8, 2)
    def forward(self, image, scale=None):
        assert scale is not None, "return_loss"
        return {"loss": None, "logits": self.fc(self.conv(image).mean((2, 3))) * scale}

"""
SAYS = """
labels = ["cat", "dog"]
preprocess = transforms.Compose([transforms.Resize(48), transforms.CenterCrop(32), transforms.ToTensor()])
def inputs(batch): return {"image": batch, "scale": 2.0}
def outputs(raw): return raw["logits"]
"""


@pytest.fixture
def file(tmp_path):
    def write(says=SAYS, name="mine.py"):
        (tmp_path / name).write_text(NET + says)
        return f"{tmp_path / name}:Net"

    return write


def test_a_file_says_everything_itself(file, pixels):
    model = camviz.load(file())
    assert model.labels == ("cat", "dog")
    assert model.preprocessing.crop == (32, 32)
    [saliency] = camviz.explain(model, pixels(100, 60))
    assert saliency.target in model.labels
    assert saliency.view.box == pytest.approx((30, 10, 70, 50), abs=1.5)
    logits = model.module(torch.zeros(1, 3, 32, 32))
    raw = model.module.fc(model.module.conv(torch.zeros(1, 3, 32, 32)).mean((2, 3)))
    assert torch.equal(logits, 2 * raw)


def test_the_layers_command_shows_what_was_taken(run, file):
    result = run("layers", file())
    assert result.exit_code == 0, result.stderr
    for text in ("mine.py", "labels (2)", "preprocess (3×32×32)", "inputs", "outputs"):
        assert text in result.stderr


@pytest.mark.parametrize(
    "labels", [["a", "b"], ("a", "b"), {0: "a", 1: "b"}, {"a": 0, "b": 1}, {"1": "b", "0": "a"}, "names.txt"]
)
def test_labels_have_several_forms(file, tmp_path, labels):
    (tmp_path / "names.txt").write_text("a\nb\n")
    assert camviz.load(file(f"labels = {labels!r}\n")).labels == ("a", "b")


@pytest.mark.parametrize(
    "says", ["labels = 3", "preprocess = 3", "inputs = [1]", "outputs = 'logits'", "def preprocess(x): return x[0]"]
)
def test_what_cannot_be_used_is_an_error(file, says):
    with pytest.raises(ModelError) as caught:
        camviz.load(file(says))
    assert says.split()[0 if says[0] != "d" else 1].partition("(")[0] in caught.value.message
    assert caught.value.hint


def test_imported_functions_of_these_names_are_not_taken(file, tmp_path):
    (tmp_path / "tools.py").write_text("def preprocess(table, columns): raise KeyError\n")
    assert camviz.load(file("from tools import preprocess\n")).preprocessing.function is None


def test_typed_labels_win_over_those_of_the_file(file, tmp_path):
    (tmp_path / "typed.json").write_text(json.dumps(["x", "y"]))
    assert camviz.load(file(), labels=tmp_path / "typed.json").labels == ("x", "y")


@pytest.mark.parametrize("asked", [{"input_size": (64, 64)}, {"mean": (0.5,), "std": (0.5,)}])
def test_a_size_for_a_function_is_refused(file, asked):
    with pytest.raises(RequestError, match="preprocessing function"):
        camviz.load(file(), **asked)


def test_the_same_arguments_in_python(pixels):
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, image, other):
            return [self.conv(image - other).mean((2, 3))]

    module = Pair()
    given = {"labels": ["a", "b"], "inputs": lambda x: (x, x * 0), "outputs": lambda raw: raw[0]}
    for _ in range(2):  # a second time replaces the first
        model = camviz.load(module, preprocess=transforms.ToTensor(), **given)
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(model.module(image), module.conv(image).mean((2, 3)))
    assert model.labels == ("a", "b")
    camviz.load(module)
    with pytest.raises(TypeError):
        module(image)


def channels_last(image):
    return np.asarray(image.resize((40, 20)), np.float32) / 255


def of(*steps):
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize([0.5], [0.2])])


PLACES = {
    "squash": (lambda image: np.asarray(image.resize((40, 20))).transpose(2, 0, 1) / 255, (0, 0, 120, 80)),
    "channels last": (channels_last, (0, 0, 120, 80)),
    "center": (of(transforms.CenterCrop(40)), (40, 20, 80, 60)),
    "resize and center": (of(transforms.Resize(40), transforms.CenterCrop(32)), (28, 8, 92, 72)),
    "gray": (of(transforms.Grayscale(), transforms.CenterCrop(40)), (40, 20, 80, 60)),
    "corner": (lambda image: np.asarray(image.crop((10, 5, 70, 65))).transpose(2, 0, 1), (10, 5, 70, 65)),
    "padded": (lambda image: np.asarray(image.crop((-20, -40, 140, 120))).transpose(2, 0, 1), (-20, -40, 140, 120)),
}


@pytest.mark.parametrize("name", PLACES)
def test_the_view_of_a_function_is_measured(pixels, name):
    function, box = PLACES[name]
    image = as_images([pixels(120, 80)])[0]
    how = camviz.load(nn.Conv2d(3, 2, 3), preprocess=function).preprocessing
    values, view = prepare(image, how)
    assert view.box == pytest.approx(box, abs=1.2)
    assert (view.size[1], view.size[0]) == values.shape[1:]
    expected = np.asarray(function(Image.fromarray(image.pixels)), np.float32)
    assert np.array_equal(values, expected.transpose(2, 0, 1) if name == "channels last" else expected)
