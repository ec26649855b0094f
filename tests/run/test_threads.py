"""How many cores a process takes for itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from camviz.run.threads import cores, settle, torch_threads


@pytest.mark.parametrize(
    ("given", "affinity", "quota", "expected"),
    [
        ("", 8, "max 100000\n", 8),
        ("", 8, "250000 100000\n", 3),  # two and a half
        ("", 2, "800000 100000\n", 2),
        ("", 8, "1000 100000\n", 1),
        ("", 8, None, 8),
        ("5", 8, "100000 100000\n", 5),
        ("0", 8, None, 8),
        ("many", 8, None, 8),
    ],
)
def test_cores(monkeypatch, given, affinity, quota, expected):
    def read(_path: Path) -> str:
        if quota is None:
            raise FileNotFoundError
        return quota

    monkeypatch.setenv("CAMVIZ_CORES", given)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(affinity)), raising=False)
    monkeypatch.setattr(Path, "read_text", read)
    assert cores() == expected


def test_threads_that_wait_sleep_unless_somebody_said_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("KMP_BLOCKTIME", "7")
    settle()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["KMP_BLOCKTIME"]) == ("PASSIVE", "7")
    monkeypatch.undo()


def test_no_more_threads_than_somebody_asked_for(monkeypatch):
    import torch

    said = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch, "set_num_threads", said.append)
    for count in (0, 2, 8):
        torch_threads(count)
    assert said == [1, 2, 3]
