"""Small videos, written by OpenCV."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np


def write_video(path: Path, frames: Iterable[np.ndarray], rate: float = 10.0) -> Path:
    """Frames (H, W, 3) RGB as an AVI of JPEGs: nearly the same pixels come back."""
    writer = None
    for frame in frames:
        if writer is None:
            size = (frame.shape[1], frame.shape[0])
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, size)
            writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 95)
            assert writer.isOpened()
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    assert writer
    writer.release()
    return path


def moving(count: int, width: int = 48, height: int = 32) -> list[np.ndarray]:
    """A bright square that grows and wanders on gray."""
    frames = []
    for number in range(count):
        frame = np.full((height, width, 3), 60, np.uint8)
        frame[8:24, 2 * number : 2 * number + 12] = (250, 10 * number, 40)
        frames.append(frame)
    return frames


def read_back(path: Path) -> list[np.ndarray]:
    """All frames of a film, RGB."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        done, frame = capture.read()
        if not done:
            return frames
        frames.append(frame[..., ::-1])
