"""Reads many mutated checkpoints in one process: `python -m tests.helpers.mutations FOLDER SEED COUNT`.

Prints one JSON object: how many were read and refused, what else happened, the longest time and the memory taken.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from camviz.errors import CamvizError
from camviz.models.checkpoint import fit, kind_of, read_weights
from camviz.models.checkpoint.script import read_script
from camviz.models.load import plan
from camviz.types import ModelRequest

LIMIT = 30  # seconds for one file
Change = Callable[[bytes, np.random.Generator], bytes]


def module() -> nn.Module:
    """A small model with convolutions, a norm and a head."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ).eval()


def write(folder: Path) -> list[Path]:
    """One file of every kind, as good as new."""
    state = module().state_dict()
    beside = {"state_dict": state, "args": {"lr": 0.1, "mean": [0.5] * 3}, "class_names": ["a", "b", "c"]}
    torch.save(beside, folder / "zip.pth")
    torch.save(beside, folder / "old.pth", _use_new_zipfile_serialization=False)
    (folder / "plain.pkl").write_bytes(pickle.dumps({name: tensor.numpy() for name, tensor in state.items()}))
    save_file(state, folder / "a.safetensors")
    torch.jit.script(module()).save(str(folder / "script.pt"))
    torch.export.save(torch.export.export(module(), (torch.rand(1, 3, 16, 16),)), str(folder / "a.pt2"))
    return sorted(folder.iterdir())


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    """One to four changes: of bits, bytes, lengths, or pieces that are lost, doubled, moved or overwritten."""
    content = bytearray(data)
    for _ in range(int(random.integers(1, 5))):
        start = int(random.integers(len(content))) if content else 0
        length = int(random.choice([1, 2, 4, 8, 64, 1000]))
        piece = content[start : start + length]
        kind = random.integers(8)
        if kind == 0 and content:
            content[start] ^= 1 << int(random.integers(8))
        elif kind == 1:
            content[start : start + length] = random.bytes(len(piece))
        elif kind == 2:
            content[start : start + length] = bytes([int(random.choice([0, 255, 128, 127]))]) * len(piece)
        elif kind == 3:
            del content[start : start + length]
        elif kind == 4:
            content[start:start] = piece
        elif kind == 5:
            del content[start:]
        elif kind == 6:
            other = int(random.integers(len(content) + 1))
            content[other : other + length] = piece
        else:
            digits = str(random.integers(10**9)).encode()
            content[start : start + len(digits)] = digits
    return bytes(content)


def mutate_record(data: bytes, random: np.random.Generator) -> bytes:
    """Change one record of a zip archive and close it properly, so that its checksums hold."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(result, "w") as new:
        names = archive.namelist()
        wanted = (
            [name for name in names if name.endswith((".pkl", ".json", ".py", ".pt"))]
            if random.random() < 0.8
            else names
        )
        chosen = str(random.choice(wanted))
        for name in names:
            content = archive.read(name)
            new.writestr(name, mutate(content, random) if name == chosen else content)
    return result.getvalue()


def read(path: Path) -> None:
    """Everything that camviz does with a file of weights but a forward of the model in it."""
    plan(ModelRequest(str(path)))
    kind = kind_of(path)
    if kind == "torchscript":
        read_script(path)
    elif kind == "exported":
        plan(ModelRequest(str(path))).build()
    weights = read_weights(path)
    fit(module(), weights.state, str(path), "small")


def run(folder: Path, files: list[Path], seed: int, count: int, change: Change, read: Callable[[Path], Any]) -> None:
    """Read `count` changed files and print what happened as one JSON object."""
    random = np.random.default_rng(seed)
    originals = [(path.name, path.read_bytes()) for path in files]
    outcomes: Counter[str] = Counter()
    failures, longest = [], 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        name, data = originals[number % len(originals)]
        path = folder / f"mutated-{name}"
        path.write_bytes(change(data, random))
        signal.alarm(LIMIT)
        start = time.perf_counter()
        try:
            read(path)
            outcomes["read"] += 1
        except CamvizError as error:
            outcomes["refused"] += 1
            if not error.hint or str(path) not in error.message:
                failures.append(f"{name} {number}: {error.message}")
        except Exception as error:
            failures.append(f"{name} {number}: {type(error).__name__}: {error}")
            (folder / f"failed-{number}-{name}").write_bytes(path.read_bytes())
        longest = max(longest, time.perf_counter() - start)
        signal.alarm(0)
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({**outcomes, "failures": failures, "longest": longest, "kilobytes": taken}))


def main(folder: Path, seed: int, count: int) -> None:
    """Read mutated checkpoints."""
    files = list(write(folder))
    for path in files:
        if path.name != "plain.pkl":
            read(path)

    def change(data: bytes, random: np.random.Generator) -> bytes:
        inside = data.startswith(b"PK") and random.random() < 0.5
        return mutate_record(data, random) if inside else mutate(data, random)

    run(folder, files, seed, count, change, read)


def in_a_process(module: str, folder: Path, seed: int, count: int) -> dict[str, Any]:
    """Return what a module prints, run in a process of its own: a reader that crashes would end the tests."""
    command = [sys.executable, "-m", f"tests.helpers.{module}", str(folder), str(seed), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3000, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
