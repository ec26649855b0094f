"""Kill commands at random moments and resume them until they end; the results equal those of one undisturbed run.

python tools/kills.py 100            # so many kills, shared by heatmap, restyle, features, compare, errors and merge
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = 16
MODEL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(16, 2)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))
"""


def main(kills: int, seed: int = 0) -> None:
    """Print a line per command: kills, restarts, and whether the results are equal."""
    folder, chance = Path(tempfile.mkdtemp(prefix="kills-")), random.Random(seed)
    (folder / "net.py").write_text(MODEL)
    (folder / "names.txt").write_text("cat\ndog\n")
    for number in range(IMAGES):
        path = folder / "pics" / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    model = ["--model", "net.py:Net", "--input-size", "64", "--batch-size", "2", "-o", "OUT"]
    commands = {
        "heatmap": ["heatmap", "pics", *model, "--save-raw"],
        "features": ["features", "pics", *model],
        "compare": ["compare", "pics", *model, "--method", "gradcam,layercam"],
        "errors": ["errors", "pics", *model, "--labels", "names.txt"],
        "restyle": ["restyle", "OUT", "--colormap", "jet"],
        "merge": ["merge", "OUT"],
    }
    for name, words in commands.items():
        print(f"{name}: {_killed(name, words, model, folder, round(kills / len(commands)), chance)}", flush=True)
    shutil.rmtree(folder)


def _killed(name: str, words: list[str], model: list[str], folder: Path, kills: int, chance: random.Random) -> str:
    """Kill and resume a command so often; return what came of it."""
    _prepare(name, folder, model, "whole")
    took = _run(folder, words, "whole", None) or 0.0
    done, equal = 0, True
    while done < kills:
        shutil.rmtree(folder / "cut", ignore_errors=True)
        _prepare(name, folder, model, "cut")
        while done < kills and _run(folder, words, "cut", chance.uniform(0.3, 1) * took) is None:
            done += 1
        while _run(folder, words, "cut", 120) is None:
            pass
        equal = equal and _results(folder / "whole") == _results(folder / "cut")
    shutil.rmtree(folder / "whole")
    return f"{done} kills, {'equal' if equal else 'NOT EQUAL'} ({took:.1f} s undisturbed)"


def _prepare(name: str, folder: Path, model: list[str], out: str) -> None:
    """Make what a command starts from, in a copy of one folder."""
    kept = folder / f"before-{name}"
    shards = ["1/3", "2/3", "3/3"] if name == "merge" else []
    if name in ("restyle", "merge"):
        if not kept.exists():
            for shard in shards or [""]:
                more = ["--shard", shard] if shard else []
                _run(folder, ["heatmap", "pics", *model, *more], kept.name, None)
        shutil.copytree(kept, folder / out)


def _run(folder: Path, words: list[str], out: str, seconds: float | None) -> float | None:
    """Run a command and return its seconds; None if it was killed after so many."""
    line = [sys.executable, "-m", "camviz", *(out if word == "OUT" else word for word in words)]
    start = time.monotonic()
    process = subprocess.Popen(line, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return None
    if process.returncode:
        raise SystemExit(f"{line} exits with {process.returncode}: {said.decode()}")
    return time.monotonic() - start


def _results(folder: Path) -> dict[str, bytes]:
    """Return all files but databases; temporary files of a killed run would be among them."""
    paths = [path for path in folder.rglob("*") if path.is_file() and ".sqlite" not in path.name]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
