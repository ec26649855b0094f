"""Read videos: frames in order, upright, RGB, as OpenCV decodes them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from camviz.errors import InputError
from camviz.io.paths import is_remote
from camviz.types import Pixels

SUFFIXES = frozenset(
    [".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".3gp", ".m2ts"]
)
USUAL_RATE = 25.0  # frames per second of a file that states none, or an impossible rate
_MAGIC = {0: (b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"FLV"), 4: (b"ftyp", b"moov", b"mdat"), 8: (b"AVI ",)}


@dataclass(frozen=True)
class Facts:
    """What the header of a file states: frames per second, and the number of frames (0: unknown)."""

    rate: float
    frames: int


def is_video(path: Path) -> bool:
    """Return whether the suffix is that of a video."""
    return path.suffix.lower() in SUFFIXES


def starts_like_video(start: bytes) -> bool:
    """Return whether a file that starts with these bytes is a video of a common format."""
    return any(start[at:].startswith(signs) for at, signs in _MAGIC.items())


def facts_of(path: Path) -> Facts:
    """Return what the header of a file states. Raises `InputError` for a file that is no video."""
    import cv2

    with _opened(path) as capture:
        rate, count = (float(capture.get(what)) for what in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
    return Facts(rate if 0.1 <= rate <= 1000 else USUAL_RATE, int(count) if 0 < count < 2**31 else 0)


def count_frames(path: Path) -> int:
    """Return how many frames can be decoded, whatever the header states."""
    with _opened(path) as capture:
        count = 0
        while capture.grab():
            count += 1
    return count


def read_frames(path: Path, wanted: Callable[[int], bool] = lambda _number: True) -> Iterator[tuple[int, Pixels]]:
    """Yield (number from 0, pixels) of the wanted frames, as far as they can be decoded; the others are not converted.

    Raises `InputError` for a file that is no video or has no frames.
    """
    import cv2

    with _opened(path) as capture:
        number = 0
        while capture.grab():
            if wanted(number):
                decoded, frame = capture.retrieve()
                if not decoded:
                    break
                yield number, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
            number += 1
    if number == 0:
        raise InputError(f"'{path}' has no frames", "copy or record it again")


def evenly(frames: int, count: int) -> list[int]:
    """Return `count` frame numbers spread evenly over a video; in a short video, some repeat."""
    return [min(frames - 1, math.floor((part + 0.5) * frames / count)) for part in range(count)]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yield the decoder of a file. Raises `InputError` where that fails; the decoder itself prints nothing."""
    if is_remote(path):
        raise InputError(f"'{path}' is a video at a URL, which OpenCV cannot read", "copy it to this machine first")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        if path.stat().st_size == 0:
            raise InputError(f"'{path}' is empty (0 bytes)", "copy or download it again")
    except FileNotFoundError as error:
        raise InputError(f"no file '{path}'", "check the path") from error
    except OSError as error:
        raise InputError(f"'{path}' may not be read: {error.strerror}", f"chmod u+r '{path}'") from error
    capture = cv2.VideoCapture(os.fspath(path))
    try:
        if not capture.isOpened():
            raise InputError(
                f"'{path}' is damaged, or in a codec that this OpenCV cannot read",
                f"ffmpeg -i '{path}' -c:v libx264 again.mp4 makes one that it can read",
            )
        yield capture
    finally:
        capture.release()
