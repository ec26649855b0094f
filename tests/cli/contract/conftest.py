"""The table of image commands that every rule of the command line's contract is tested with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

MODELS = '''
import os, signal, time
from pathlib import Path

import torch
from net import Net


class Watched(Net):
    """Counts its forwards; `meets` is called with every batch of real values."""

    def forward(self, x):
        if x.device.type != "meta":
            with open("forwards", "a") as file:
                file.write("x")
            self.meets(x)
        return super().forward(x)

    def meets(self, x):
        pass


class Moody(Watched):
    """Raises for a white image."""

    def meets(self, x):
        if (x > 2).flatten(1).all(1).any():
            raise ValueError("too bright")


class Starved(Watched):
    """Has no memory for a white image."""

    def meets(self, x):
        if (x > 2).flatten(1).all(1).any():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class Python(Watched):
    """Runs into Python's own error for a lack of memory at a white image."""

    def meets(self, x):
        if (x > 2).flatten(1).all(1).any():
            raise MemoryError


class Broken(Watched):
    """Cannot run at all."""

    def meets(self, x):
        raise ValueError("shapes do not fit")


class Stopped(Watched):
    """Sends the signal that the file `signal` names when it meets a white image."""

    def meets(self, x):
        time.sleep(0.02)
        path = Path("signal")
        if path.exists() and (x > 2).flatten(1).all(1).any():
            number = int(path.read_text())
            path.unlink()
            os.kill(os.getpid(), number)
            time.sleep(0.2)
'''


@dataclass(frozen=True)
class Case:
    """How a command is typed with a small model. `figures`: a file per image, whose paths are on stdout."""

    options: Sequence[str] = ()
    figures: bool = True
    whole: bool = False  # all images together make the result: an interruption leaves nothing done
    extra: int = 0  # files of the whole run


CASES = {
    "heatmap": Case(["--method", "gradcam"]),
    "features": Case(["--layer", "features.3"]),
    "evaluate": Case(
        ["--metric", "deletion", "--forwards", "4", "--method", "gradcam", "--resamples", "100", "--target", "1"],
        figures=False,
    ),
    "patches": Case(["--layer", "features.3", "--top", "1"], figures=False, whole=True, extra=1),
    "concepts": Case(["--layer", "features.3", "--concepts", "2", "--top", "1"], figures=False, whole=True, extra=1),
    "compare": Case(["--method", "gradcam,layercam"], extra=2),
    "errors": Case(["--method", "gradcam", "--no-removal"], figures=False, extra=2),
    "reconstruct": Case(["--layer", "features.1", "--steps", "2"]),
}
NAMES = ["1/a.png", "1/b.png", "1/m.png", "2/y.png", "2/z.png"]  # the one in the middle is the white one
WHITE = "m.png"


@dataclass(frozen=True)
class Bench:
    """A folder `pics` with five images, models that fail in every way, and a way to run a command over them."""

    folder: Path
    run: Callable[..., Any]

    def __call__(self, command: str, *arguments: str, net: str = "Watched", stdin: str | None = None) -> Any:
        images = [] if any(one == "-" or one.startswith("pics") for one in arguments) else ["pics"]
        fixed = ["-m", f"models.py:{net}", "--input-size", "32", "--batch-size", "1", "-o", "out"]
        return self.run(command, *images, *CASES[command].options, *fixed, *arguments, stdin=stdin)

    def forwards(self) -> int:
        """How many forwards there were so far."""
        path = self.folder / "forwards"
        return path.stat().st_size if path.exists() else 0

    def to_do(self, command: str, net: str = "Watched") -> int:
        """How many images a run would do now."""
        return len(self(command, "--dry-run", "-q", net=net).stdout.splitlines())

    def files(self) -> list[str]:
        """All files of the output folder but the database."""
        paths = [path for path in (self.folder / "out").rglob("*") if path.is_file()]
        return sorted(str(path.relative_to(self.folder / "out")) for path in paths if ".sqlite" not in path.name)


@pytest.fixture
def bench(run, tmp_path, net_file, write_image, monkeypatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text(MODELS)
    for number, name in enumerate(NAMES):
        write_image(tmp_path / "pics" / name, seed=number)
    return Bench(tmp_path, run)


@pytest.fixture
def white(bench) -> Path:
    """The image in the middle is white."""
    path = bench.folder / "pics" / "1" / WHITE
    Image.fromarray(np.full((32, 40, 3), 255, np.uint8)).save(path)
    return path


def errors_of(result: Any) -> list[str]:
    """The errors on stderr, each with its hint below it."""
    lines = result.stderr.splitlines()
    errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    assert all(lines[number + 1].startswith("hint: ") for number in errors), result.stderr
    assert "Traceback" not in result.stderr
    return [lines[number] for number in errors]
