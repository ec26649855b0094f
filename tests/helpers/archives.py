"""Zip archives of models, changed record by record."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn


def rezip(path: Path, change: dict[str, bytes], rename: Callable[[str], str] = str) -> None:
    """Replace, or add, records of a zip archive by how their names end; `rename` changes names."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(records)).partition("/")[0]
    for ending, data in change.items():
        name = next((name for name in records if name.endswith(ending)), f"{root}/{ending}")
        records[name] = data
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            archive.writestr(rename(name), data)


def record(path: Path, ending: str) -> bytes:
    """The first record of a zip archive whose name ends so."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(ending)))


def exported(path: Path) -> None:
    """A `torch.export` archive of one convolution."""
    torch.export.save(torch.export.export(nn.Sequential(nn.Conv2d(3, 4, 3)), (torch.rand(1, 3, 8, 8),)), str(path))


def change_program(path: Path, change: Callable[[Any], None]) -> None:
    """Change the JSON of a `torch.export` archive."""
    program = json.loads(record(path, "models/model.json"))
    change(program)
    rezip(path, {"models/model.json": json.dumps(program).encode()})


def scripted(path: Path) -> None:
    """A TorchScript archive of one convolution."""
    torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3))).save(str(path))
