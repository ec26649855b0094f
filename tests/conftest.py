"""Shared by all tests: a tiny model, tiny images, and two ways to run a command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# tests, and the processes that they start, run side by side: each has one thread, read when torch is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")
# models in Python files are imported by tests that count the files there, and under a limit on the size of files
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
sys.dont_write_bytecode = True

MODEL = '''
import torch
from torch import nn


class Net(nn.Module):
    """Two convolutions, global average pooling, one linear layer."""

    def __init__(self, classes: int = 4, channels: int = 3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.features = nn.Sequential(
            nn.Conv2d(channels, 8, 3, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(inplace=True)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        return self.fc(self.pool(self.features(x)).flatten(1))


def gray() -> nn.Module:
    return Net(channels=1)
'''


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tests run side by side; the models are too small for threads of their own."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def net_file(tmp_path: Path) -> Path:
    """A Python file with the tiny model `Net` (4 classes) in it."""
    path = tmp_path / "net.py"
    path.write_text(MODEL)
    return path


@pytest.fixture
def net(net_file: Path):
    """The tiny model itself: `net(classes=…, channels=…, seed=…)`."""
    space: dict[str, object] = {}
    exec(compile(MODEL, str(net_file), "exec"), space)
    return space["Net"]


@pytest.fixture
def pixels():
    """`pixels(width, height, seed)`: noise, RGB."""

    def make(width: int = 40, height: int = 32, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)

    return make


@pytest.fixture
def write_image(pixels):
    """`write_image(path, width, height, seed)`: write an image of noise, making folders; returns the path."""

    def write(path: Path, width: int = 40, height: int = 32, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(width, height, seed)).save(path)
        return path

    return write


@pytest.fixture
def run():
    """`run("models", "resnet")`: a command in this process, with stdout, stderr and exit_code."""
    from typer.testing import CliRunner

    from camviz.cli.app import app

    def invoke(*arguments: object, stdin: str | None = None):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)

    return invoke


@pytest.fixture
def heatmap(run, net_file: Path, tmp_path: Path):
    """`heatmap("a.png", …)`: the command with the tiny model, writing to `tmp_path / "out"`."""

    def invoke(*arguments: object, stdin: str | None = None):
        fixed = ["--model", f"{net_file}:Net", "--input-size", 32, "--output", tmp_path / "out"]
        return run("heatmap", *fixed, *arguments, stdin=stdin)

    return invoke


@pytest.fixture
def fresh(tmp_path: Path):
    """`fresh("models")`: a command in a process of its own."""

    def invoke(*arguments: object, **settings) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "camviz", *map(str, arguments)]
        given = {"capture_output": True, "text": True, "cwd": tmp_path, "timeout": 60, **settings}
        return subprocess.run(command, check=False, **given)

    return invoke


@pytest.fixture
def refused():
    """`refused(result, "layr4", status=2)`: two lines after any notes, the typed words quoted, nothing on stdout."""

    def check(result, *quoted: object, status: int = 2) -> str:
        assert result.exit_code == status, result.output
        assert result.stdout == ""
        lines = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
        assert [line.partition(": ")[0] for line in lines] == ["error", "hint"], result.stderr
        assert all(line.partition(": ")[2].strip() for line in lines)
        assert not lines[0].startswith("error: unexpected "), "a bug told as one"
        for text in quoted:
            assert str(text) in result.stderr
        return result.stderr

    return check


@pytest.fixture
def written(tmp_path: Path):
    """`written()`: every file below the output folder but its database, relative and sorted."""

    def listing(folder: Path | None = None) -> list[str]:
        folder = folder or tmp_path / "out"
        return sorted(
            os.path.join(os.path.relpath(place, folder), name).removeprefix("./").replace(os.sep, "/")
            for place, _, names in os.walk(folder)
            for name in names
            if name != "camviz.sqlite"
        )

    return listing


@pytest.fixture(scope="session")
def assets() -> Path:
    """A folder of real images that are not part of the project."""
    folder = os.environ.get("CAMVIZ_ASSETS")
    if not folder:
        pytest.skip("CAMVIZ_ASSETS names no folder of images")
    return Path(folder)


@pytest.fixture
def store():
    """A store in memory that fsspec knows as memory://, empty before and after."""
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()
