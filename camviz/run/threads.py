"""The number of threads for torch, OpenCV and the run."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

from camviz.io.texts import as_index

LANES = 16  # models side by side, at most: each has activations of its own


def settle() -> None:
    """What must be said before torch is imported: threads that wait must sleep.

    Left to spin, they take the cores from the threads that decode and encode, and from other programs: on a busy
    machine a model then runs ten times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")


def cores() -> int:
    """Return the number of cores that this process may use: CAMVIZ_CORES, its affinity, or its container's quota."""
    given = os.environ.get("CAMVIZ_CORES", "")
    if count := as_index(given):
        return count
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such group, or "max"
        pass
    return max(1, count)


def threads() -> int:
    """Return the number of threads that a forward pass uses at most: the cores, or OMP_NUM_THREADS if it is less."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores(), int(limit) or cores()) if limit.isdecimal() else cores()


def one_thread_each() -> None:
    """Turn off OpenCV's threads: there is a thread per core already."""
    import cv2

    cv2.setNumThreads(1)


def torch_threads(count: int) -> None:
    """Set the number of threads of one forward, at most the current one."""
    import torch

    torch.set_num_threads(max(1, min(count, torch.get_num_threads())))
