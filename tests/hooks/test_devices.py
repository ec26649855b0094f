"""Which device a process gets."""

from __future__ import annotations

import pytest

from camviz.hooks.devices import local_rank


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, None),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "4"}, 1),
        ({"LOCAL_RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"SLURM_LOCALID": "3", "SLURM_STEP_NUM_TASKS": "8"}, 3),
    ],
)
def test_which_process_of_a_machine_this_is(monkeypatch, environment, rank):
    for name in ("LOCAL_RANK", "WORLD_SIZE", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert local_rank() == rank


@pytest.mark.parametrize(
    ("name", "rank", "count", "expected"),
    [
        ("auto", "2", 4, "cuda:2"),
        ("cuda", "2", 4, "cuda:2"),
        ("cuda:1", "2", 4, "cuda:1"),
        ("auto", "2", 1, "cuda:0"),  # SLURM shows each process its own
        ("cpu", "2", 4, "cpu"),
    ],
)
def test_the_rank_chooses_the_gpu(monkeypatch, name, rank, count, expected):
    import torch

    from camviz.hooks.devices import pick_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert str(pick_device(name)) == expected
