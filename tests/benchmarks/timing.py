"""Alternating runs, their medians, and what the machine was."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, redirect_stderr
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from multiprocessing import get_context
from pathlib import Path

import torch

Run = Callable[[], object]
Contender = Callable[[], AbstractContextManager[Run]]  # what it attaches to the model is there within the block


def alternate(
    contenders: Mapping[str, Contender], rounds: int, *, warm: bool = True, cpu: bool = False
) -> dict[str, list[float]]:
    """Seconds of every contender in every round: A B C A B C … Setting up and taking down are not timed.

    `warm`: each runs once untimed before it is timed, every round, so that nobody pays for the neighbor's set-up.
    `cpu`: seconds of the processor, not of the wall; with one thread, a busy machine hardly changes them.
    """
    clock = time.process_time if cpu else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            with contender() as run, redirect_stderr(StringIO()):  # a peer draws progress bars
                if warm:
                    run()
                start = clock()
                run()
                times[name].append(clock() - start)
    return times


def ratio(times: Mapping[str, Sequence[float]], name: str, other: str) -> float:
    """How many times longer `name` takes than `other`: the median over rounds, as neighbors share the noise."""
    return statistics.median(a / b for a, b in zip(times[name], times[other], strict=True))


def peak_memory(contender: Contender, first: Contender) -> float:
    """Megabytes by which the peak of a new process grows in `contender`, after `first` has run once."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_growth, (contender, first))


def _growth(contender: Contender, first: Contender) -> float:
    with first() as run:
        run()
    with contender() as run, redirect_stderr(StringIO()):
        before = _peak()
        run()
        return _peak() - before


def _peak() -> float:
    try:  # Linux keeps a parent's ru_maxrss across exec, but not this
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def machine() -> str:
    """One line about where and when."""
    packages = ", ".join(f"{name} {_version(name)}" for name in ("torch", "grad-cam", "torchcam", "captum"))
    amx = "AMX, " if torch.cpu._is_amx_tile_supported() else ""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {amx}{torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, {packages}, {date.today()}"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers to the right."""
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join(['---'] + ['--:'] * (len(header) - 1))}|"]
    return "\n".join([*lines, *(f"| {' | '.join(map(_text, row))} |" for row in rows)])


def _text(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
