"""Encode frames as a GIF or an MP4."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from camviz.errors import RequestError
from camviz.types import Pixels

FORMATS = ("gif", "mp4")
_STILL = 10  # frames per second of an MP4 that repeats its images


def animate(frames: Sequence[Pixels], format: str, seconds: float = 0.8) -> bytes:
    """Return an endless GIF or an MP4 of frames padded to one even size, each shown for `seconds`."""
    size = (max(frame.shape[0] for frame in frames), max(frame.shape[1] for frame in frames))
    repeated = max(1, round(_STILL * seconds)) if format == "mp4" else 1
    with Film(format, _STILL if format == "mp4" else 1 / seconds, size) as film:
        for frame in frames:
            for _ in range(repeated):
                film.add(frame)
        return film.finish()


class Film:
    """Write frames padded to one even size (height, width) at `rate` frames per second.

    An MP4 is written to a temporary file; the frames of a GIF are kept in memory, as Pillow needs them.
    """

    def __init__(self, format: str, rate: float, size: tuple[int, int]) -> None:
        self.size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        self.format, self.rate = format, rate
        self._frames: list[Any] = []
        self._writer: Any = None
        self._folder = Path(tempfile.mkdtemp(prefix="camviz-")) if format == "mp4" else None

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._writer is not None:
            self._writer.release()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, frame: Pixels) -> None:
        """Add a frame; one larger than the film is cropped at the right and at the bottom."""
        height, width = self.size
        whole = np.full((height, width, 3), 255, np.uint8)
        part = frame[:height, :width]
        whole[: part.shape[0], : part.shape[1]] = part
        if self._folder:
            self._mp4(self._folder).write(whole[..., ::-1].copy())
            return
        from PIL import Image

        self._frames.append(Image.fromarray(whole).convert("P", palette=Image.Palette.ADAPTIVE))

    def finish(self) -> bytes:
        """Return the bytes of the file; no frame can be added afterwards."""
        if self._folder:
            self._mp4(self._folder).release()
            return (self._folder / "film.mp4").read_bytes()
        import io

        buffer = io.BytesIO()
        first, *others = self._frames
        shown = max(20, round(1000 / self.rate / 10) * 10)  # in units of 10 ms; browsers slow down below 20 ms
        first.save(buffer, "GIF", save_all=True, append_images=others, duration=shown, loop=0, disposal=1)
        return buffer.getvalue()

    def _mp4(self, folder: Path) -> Any:
        """Return OpenCV's writer, which writes only to files."""
        if self._writer is None:
            import cv2

            code, (height, width) = cv2.VideoWriter.fourcc(*"mp4v"), self.size
            self._writer = cv2.VideoWriter(str(folder / "film.mp4"), code, self.rate, (width, height))
            if not self._writer.isOpened():
                raise RequestError("the installed OpenCV cannot write MP4", "--format gif")
        return self._writer
