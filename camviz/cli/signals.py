"""Exit statuses of a command that was interrupted or terminated, or whose reader left."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED, TERMINATED, READER_LEFT = (128 + number for number in (2, 15, 13))  # SIGINT, SIGTERM, SIGPIPE


class Terminated(KeyboardInterrupt):
    """SIGTERM, handled like Ctrl-C: finished images stay, no file is half written."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM within the block; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
