"""Damaged checkpoints of every kind: a clear error or the tensors, quickly and in little memory."""

from __future__ import annotations

import pytest

from tests.helpers.mutations import in_a_process


def check(result: dict, count: int) -> None:
    assert result["failures"] == []
    assert result["read"] + result["refused"] == count
    assert result["longest"] < 30
    assert result["kilobytes"] < 300_000


def test_some_hundred_mutated_checkpoints(tmp_path):
    check(in_a_process("mutations", tmp_path, 0, 300), 300)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thousands_of_mutated_checkpoints(tmp_path, seed):
    check(in_a_process("mutations", tmp_path, seed, 2000), 2000)
