"""--model FILE.py:NAME."""

from __future__ import annotations

import sys

import pytest
import torch

import camviz
from camviz.errors import ModelError, RequestError, UnknownName
from camviz.models.load import plan
from camviz.types import ModelRequest


@pytest.fixture
def file(tmp_path):
    """`file(text)`: the path of a Python file with that text."""

    def write(text: str, name: str = "mine.py") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_a_class(net_file, net):
    model = camviz.load(f"{net_file}:Net")
    assert model.name == "net:Net"
    assert torch.equal(model.module.fc.weight, net().fc.weight)
    assert not model.module.training


def test_a_function(net_file):
    assert camviz.load(f"{net_file}:gray").module.features[0].in_channels == 1


def test_a_model_that_is_there_already(file):
    path = file("from torch import nn\nready = nn.Conv2d(3, 5, 3)\n")
    assert camviz.load(f"{path}:ready").module.out_channels == 5


def test_without_a_name_the_only_class(net_file, net):
    assert camviz.load(str(net_file)).name == "net:Net"


@pytest.mark.parametrize("name", ["build", "build_model", "create_model", "get_model", "model"])
def test_without_a_name_a_usual_one(file, name):
    text = f"from torch import nn\nclass A: pass\nclass B: pass\ndef {name}(): return nn.Conv2d(3, 5, 3)\n"
    assert camviz.load(file(text)).name == f"mine:{name}"


def test_arguments_are_python_values_or_words(file):
    path = file(
        "from torch import nn\ndef build(width, bias=True, kind=''):\n"
        "    assert kind == 'relu6'\n    return nn.Conv2d(3, width, 3, bias=bias)\n"
    )
    request = ModelRequest(path, arguments=(("width", "7"), ("bias", "False"), ("kind", "relu6")))
    module = plan(request).build().module
    assert module.out_channels == 7
    assert module.bias is None
    assert camviz.load(path, arguments={"width": 7, "kind": "relu6"}).module.out_channels == 7


def test_files_beside_it_can_be_imported_and_the_path_is_left_as_it_was(file):
    before = list(sys.path)
    file("from torch import nn\nclass Part(nn.Conv2d): pass\n", "part_beside_mine.py")
    path = file("from part_beside_mine import Part\ndef build(): return Part(3, 5, 3)\n")
    assert camviz.load(path).module.out_channels == 5
    assert sys.path == before


def test_the_file_is_not_run_to_find_its_names(file):
    path = file("1 / 0\nclass Net: pass\n")
    with pytest.raises(UnknownName, match="no name 'Nett'"):
        plan(ModelRequest(f"{path}:Nett"))
    plan(ModelRequest(f"{path}:Net"))


def test_an_unknown_name_is_told_with_the_nearest(net_file):
    with pytest.raises(UnknownName) as caught:
        plan(ModelRequest(f"{net_file}:Nett"))
    assert caught.value.message == f"no name 'Nett' in {net_file}"
    assert "did you mean 'Net'?" in caught.value.hint


def test_an_unknown_name_where_only_running_tells(file):
    path = file("if True:\n    from torch import nn\n    Net = nn.Identity\n")
    assert camviz.load(f"{path}:Net").name == "mine:Net"
    with pytest.raises(UnknownName) as caught:
        camviz.load(f"{path}:Nett")
    assert "did you mean 'Net'?" in caught.value.hint


FAULTS = {
    "syntax": ("def build(:\n", "", RequestError, "is not valid Python"),
    "two classes": ("class A: pass\nclass B: pass\n", "", RequestError, "has 2 classes: which one"),
    "nothing": ("x = 3\n", "", RequestError, "has no class"),
    "import": ("import no_such_module_anywhere\nclass Net: pass\n", ":Net", ModelError, "ModuleNotFoundError"),
    "arguments": ("class Net:\n    def __init__(self, width): pass\n", ":Net", ModelError, "TypeError"),
    "no network": ("class Net: pass\n", ":Net", ModelError, "gave a Net, not a torch.nn.Module"),
    "not callable": ("Net = 3\n", ":Net", ModelError, "TypeError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_file(file, fault):
    text, name, kind, says = FAULTS[fault]
    path = file(text)
    with pytest.raises(kind) as caught:
        camviz.load(path + name)
    assert says in caught.value.message
    assert path in caught.value.message
    assert caught.value.hint


def test_no_file(tmp_path):
    with pytest.raises(RequestError, match="no file"):
        plan(ModelRequest(f"{tmp_path}/gone.py:Net"))


def test_weights_that_do_not_exist_are_not_passed_over(net_file):
    with pytest.raises(UnknownName, match="no weights 'trained") as caught:
        plan(ModelRequest(f"{net_file}:Net", weights="trained.pth"))
    assert "--weights FILE" in caught.value.hint
