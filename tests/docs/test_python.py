"""The Python of README and docs runs, and is well typed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from camviz.demo import sample_folder
from tests.helpers.documents import PAGES, ROOT, name, python_blocks

BLOCKS = [
    pytest.param(block, id=f"{name(page)}-{number}")
    for page in PAGES
    if page.name != "contributing.md"
    for number, block in enumerate(python_blocks(page))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for sample, copy in (("star_and_ring.jpg", "photo.jpg"), ("drop_alone.jpg", "other.jpg")):
        shutil.copy(sample_folder() / sample, copy)
    exec(compile(block, "block", "exec"), {})
    assert "overlay.png" not in block or (tmp_path / "overlay.png").stat().st_size


@pytest.mark.slow
def test_all_blocks_are_well_typed(tmp_path):
    """For a project that is as strict as can be."""
    pytest.importorskip("mypy", reason="pip install 'camviz[dev]'")
    files = []
    for number, parameter in enumerate(BLOCKS):
        files.append(tmp_path / f"block{number}.py")
        files[-1].write_text(parameter.values[0])
    check = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--ignore-missing-imports"]
    check += ["--cache-dir", str(tmp_path / "cache"), *map(str, files)]
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    done = subprocess.run(check, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert files
    assert done.returncode == 0, done.stdout
