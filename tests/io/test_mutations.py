"""Damaged images of every format: a clear error or pixels, quickly and in little memory; good ones beside are done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.image_mutations import write
from tests.helpers.mutations import in_a_process, mutate


def check(result: dict, count: int) -> None:
    assert result["failures"] == []
    assert result["read"] + result["refused"] == count
    assert min(result["read"], result["refused"]) > count // 20
    assert result["longest"] < 30
    assert result["kilobytes"] < 2_000_000  # nine bytes per pixel of the largest size


def test_some_hundred_mutated_images(tmp_path):
    check(in_a_process("image_mutations", tmp_path, 0, 400), 400)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thousands_of_mutated_images(tmp_path, seed):
    check(in_a_process("image_mutations", tmp_path, seed, 3000), 3000)


def test_good_images_among_damaged_ones_are_done(tmp_path, run):
    random = np.random.default_rng(0)
    (tmp_path / "p").mkdir()
    good = write(tmp_path / "p")
    for number, path in enumerate(3 * good):
        (tmp_path / "p" / f"z{number}{path.suffix}").write_bytes(mutate(path.read_bytes(), random))
    result = run("heatmap", str(tmp_path / "p"), "-m", "demo", "--json", "-o", str(tmp_path / "o"))
    assert result.exit_code == 1
    assert "bug" not in result.stderr
    assert "Traceback" not in result.stderr
    done = {Path(json.loads(line)["input"]).name for line in result.stdout.splitlines()}
    assert {path.name for path in good if path.suffix != ".tga"} <= done  # a folder is searched for other suffixes
