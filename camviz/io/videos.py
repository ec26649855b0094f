"""Reading videos: frames in order, upright, RGB, as OpenCV decodes them. Sound is no part of it."""

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
USUAL_RATE = 25.0  # frames per second of a file that does not tell, or tells nonsense
_MAGIC = {0: (b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"FLV"), 4: (b"ftyp", b"moov", b"mdat"), 8: (b"AVI ",)}


@dataclass(frozen=True)
class Facts:
    """What a file says of itself: frames per second, and how many frames (0: it does not say)."""

    rate: float
    frames: int


def is_video(path: Path) -> bool:
    """Whether a file is named as videos are."""
    return path.suffix.lower() in SUFFIXES


def starts_like_video(start: bytes) -> bool:
    """Whether these are the first bytes of a common kind of video file."""
    return any(start[at:].startswith(signs) for at, signs in _MAGIC.items())


def facts_of(path: Path) -> Facts:
    """What the file says of itself; raises `InputError` for one that is no video."""
    import cv2

    with _opened(path) as capture:
        rate, count = (float(capture.get(what)) for what in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
    return Facts(rate if 0.1 <= rate <= 1000 else USUAL_RATE, int(count) if 0 < count < 2**31 else 0)


def count_frames(path: Path) -> int:
    """How many frames can be decoded, whatever the file says."""
    with _opened(path) as capture:
        count = 0
        while capture.grab():
            count += 1
    return count


def read_frames(path: Path, wanted: Callable[[int], bool] = lambda _number: True) -> Iterator[tuple[int, Pixels]]:
    """(number from 0, pixels) of the frames wanted, as far as they can be decoded; the others cost little.

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
    """`count` frames evenly over a video, each from the middle of its share; a short video's come several times."""
    return [min(frames - 1, math.floor((place + 0.5) * frames / count)) for place in range(count)]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file's decoder; what it would print of a damaged file is in the error instead."""
    if is_remote(path):
        raise InputError(f"'{path}' is a video in a store, out of OpenCV's reach", "copy it to this machine first")
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
