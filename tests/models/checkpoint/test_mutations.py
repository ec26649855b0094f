"""Damaged checkpoints of every kind: a clear error or the tensors, quickly and in little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def mutated(folder, seed: int, count: int) -> dict:
    """In a process of its own: a crash of torch's readers would otherwise end the tests."""
    command = [sys.executable, "-m", "tests.helpers.mutations", str(folder), str(seed), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3000, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(result: dict, count: int) -> None:
    assert result["failures"] == []
    assert result["read"] + result["refused"] == count
    assert result["longest"] < 30
    assert result["kilobytes"] < 300_000


def test_some_hundred_mutated_checkpoints(tmp_path):
    check(mutated(tmp_path, 0, 300), 300)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thousands_of_mutated_checkpoints(tmp_path, seed):
    check(mutated(tmp_path, seed, 2000), 2000)
