"""A model in its project: imports work as they do there, and nothing of it stays behind."""

from __future__ import annotations

import sys

import pytest
import torch

import camviz
from camviz.errors import ModelError

BLOCKS = "from torch import nn\nWIDTH = {width}\ndef act():\n    return nn.{act}()\n"
NET = """
import sys
from torch import nn
{imports}
ARGUMENTS = list(sys.argv)
class Net(nn.Sequential):
    def __init__(self):
        {late}
        super().__init__(nn.Conv2d(3, WIDTH, 3), act(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 4))
        self.arguments = ARGUMENTS
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """`project("a/net.py", imports)`: a model and, beside it, the blocks that it is made of."""
    monkeypatch.chdir(tmp_path)

    def write(name, imports="pass", late="pass", width=8, act="ReLU", blocks=None):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NET.format(imports=imports, late=late))
        (tmp_path / blocks if blocks else path.with_name("blocks.py")).write_text(BLOCKS.format(width=width, act=act))
        return f"{path}:Net"

    return write


@pytest.fixture(autouse=True)
def clean():
    """Whatever the test imports, path, arguments and modules are as before."""
    path, words, modules = list(sys.path), list(sys.argv), set(sys.modules)
    yield
    assert (sys.path, sys.argv) == (path, words)
    assert {name for name in set(sys.modules) - modules if "blocks" in name or name.endswith("net")} == set()


PLACES = {
    "beside it": ("net.py", "from blocks import WIDTH, act", "", None),
    "relative": ("models/net.py", "from .blocks import WIDTH, act", "models", None),
    "relative, up": (
        "models/heads/net.py",
        "from ..blocks import WIDTH, act",
        "models models/heads",
        "models/blocks.py",
    ),
    "from the root of its package": ("app/net.py", "from app.blocks import WIDTH, act", "app", None),
    "from the working folder": ("models/net.py", "from models.blocks import WIDTH, act", "", None),
    "from the working folder itself": ("models/net.py", "from blocks import WIDTH, act", "", "blocks.py"),
    "beside it in a package": ("models/net.py", "from blocks import WIDTH, act", "models", None),
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_imports_work_as_in_the_project_also_while_the_model_is_built(project, tmp_path, place, late):
    name, imports, packages, blocks = PLACES[place]
    spec = project(name, *(("pass", imports) if late else (imports,)), blocks=blocks)
    for package in packages.split():
        (tmp_path / package / "__init__.py").write_text("")
    assert camviz.load(spec).module[0].out_channels == 8


def test_each_model_gets_modules_of_its_own(project):
    old = project("old/net.py", "from blocks import WIDTH, act", width=8)
    new = project("new/net.py", "from blocks import WIDTH, act", width=24, act="Tanh")
    models = [camviz.load(spec).module for spec in (old, new, old)]
    assert [module[0].out_channels for module in models] == [8, 24, 8]
    assert [type(module[1]).__name__ for module in models] == ["ReLU", "Tanh", "ReLU"]


def test_a_loaded_module_of_the_same_name_elsewhere_is_not_taken(project, tmp_path, monkeypatch):
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "blocks.py").write_text("")
    monkeypatch.syspath_prepend(str(other))
    import blocks  # type: ignore[import-not-found]

    assert camviz.load(project("net.py", "from blocks import WIDTH, act")).module[0].out_channels == 8
    assert sys.modules.pop("blocks") is blocks


def test_its_command_line_is_empty(project):
    spec = project("net.py", "from blocks import WIDTH, act")
    assert camviz.load(spec).module.arguments == [spec.partition(":")[0]]


LEAVES = {
    "argparse": "import argparse; p = argparse.ArgumentParser(); p.add_argument('data'); p.parse_args()",
    "exit": "sys.exit(0)",
    "quit": "raise SystemExit('no GPU')",
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", LEAVES)
def test_an_exit_is_an_error_that_names_the_file(project, name, late):
    spec = project("net.py", *(("pass", LEAVES[name]) if late else (LEAVES[name],)))
    with pytest.raises(ModelError, match=r"net\.py'.* ended Python") as caught:
        camviz.load(spec)
    assert "__main__" in caught.value.hint


def test_prints_of_the_file_do_not_reach_stdout(project, capsys):
    camviz.load(project("net.py", "from blocks import WIDTH, act; print('hello')"))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")


def test_a_package_that_cannot_be_imported_does_not_stop_a_file_that_can(project, tmp_path):
    spec = project("models/net.py", "from blocks import WIDTH, act")
    (tmp_path / "models" / "__init__.py").write_text("import no_such_module_anywhere")
    assert camviz.load(spec).module[0].out_channels == 8


def test_a_missing_module_is_named(project):
    with pytest.raises(ModelError, match="no_such_module_anywhere") as caught:
        camviz.load(project("net.py", "import no_such_module_anywhere"))
    assert "import no_such_module_anywhere" in caught.value.hint


def test_an_import_inside_forward_finds_the_files_of_the_project(tmp_path, monkeypatch):
    """Each project its own, with the module that it has imported before, and nothing is left behind."""
    models = []
    for folder, width in (("old", 4), ("new", 6)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "blocks.py").write_text("def width():\n    from wide import WIDTH\n    return WIDTH\n")
        (tmp_path / folder / "wide.py").write_text(f"WIDTH = {width}\n")
        (tmp_path / folder / "net.py").write_text(
            "import blocks\nfrom torch import nn\n"
            "class Net(nn.Module):\n    def forward(self, x):\n        import blocks as again\n"
            "        assert again is blocks\n        return x.mean((2, 3)).repeat(1, 2)[:, : again.width()]\n"
        )
        models.append(camviz.load(f"{tmp_path / folder}/net.py:Net"))
    path, names = list(sys.path), set(sys.modules)
    for model, width in [*zip(models, (4, 6), strict=True)] * 2:
        assert model.module(torch.zeros(1, 3, 8, 8)).shape == (1, width)
    assert sys.path == path
    assert {"blocks", "wide"}.isdisjoint(set(sys.modules) - names)
