"""The memory that the images of a run may take while they are read, explained and drawn."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

_UNKNOWN = 4 * 2**30  # bytes, on systems that do not tell
_UNLIMITED = 2**60
_GROUP = Path("/sys/fs/cgroup")


def budget() -> int:
    """Return the bytes for images in progress: CAMVIZ_MEMORY (bytes, such as 2e9), or half of the free memory."""
    try:
        return max(1, int(float(os.environ["CAMVIZ_MEMORY"])))
    except (KeyError, ValueError, OverflowError):
        return max(1, free_memory() // 2)


def free_memory() -> int:
    """Return the bytes that this process can still have: of the machine, its container, and `ulimit -v`."""
    known = [free for free in (_of_machine(), _of_container(), _of_process()) if free is not None]
    return max(0, min(known, default=_UNKNOWN))


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def _of_container() -> int | None:
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            limit, taken = (int((_GROUP / name).read_text()) for name in (most, used))
        except (OSError, ValueError):  # no such group, or "max"
            continue
        if limit < _UNLIMITED:
            return limit - taken + _file_cache(_GROUP / most)
    return None


def _file_cache(limit: Path) -> int:
    """Return the bytes of files that a group keeps in memory until they are needed for something else."""
    try:
        pairs = dict(line.split() for line in limit.with_name("memory.stat").read_text().splitlines())
        return int(pairs.get("total_inactive_file") or pairs.get("inactive_file") or 0)
    except (OSError, ValueError):
        return 0


def _of_process() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        return limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return limit


@dataclass
class Budget:
    """Bytes that images in progress share; an image that needs more than all of them is in progress alone."""

    total: int
    taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def full(self) -> bool:
        """Whether all bytes are taken."""
        return self.taken >= self.total

    def take(self, need: int) -> bool:
        """Reserve bytes for an image; return False if it has to wait."""
        with self._lock:
            if self.taken and self.taken + need > self.total:
                return False
            self.taken += need
            return True

    def give(self, need: int) -> None:
        """Return the bytes of an image that is finished."""
        with self._lock:
            self.taken -= need
