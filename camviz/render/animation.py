"""Frames to the bytes of a GIF or an MP4."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from camviz.errors import RequestError
from camviz.render.canvas import fit
from camviz.types import Pixels

FORMATS = ("gif", "mp4")


def animate(frames: Sequence[Pixels], format: str, seconds: float = 0.8) -> bytes:
    """An endless GIF, or an MP4, of frames brought to one even size; each is shown for `seconds`."""
    height = max(frame.shape[0] for frame in frames)
    width = max(frame.shape[1] for frame in frames)
    equal = [fit(frame, height + height % 2, width + width % 2) for frame in frames]
    return _gif(equal, seconds) if format == "gif" else _mp4(equal, seconds)


def _gif(frames: Sequence[Pixels], seconds: float) -> bytes:
    import io

    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "GIF", save_all=True, append_images=images[1:], duration=round(seconds * 1000), loop=0, disposal=1
    )
    return buffer.getvalue()


def _mp4(frames: Sequence[Pixels], seconds: float) -> bytes:
    import cv2

    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:  # OpenCV only writes to files
        path = Path(folder) / "film.mp4"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (width, height))
        if not writer.isOpened():
            raise RequestError("this OpenCV cannot write MP4", "--format gif")
        for frame in frames:
            for _ in range(max(1, round(10 * seconds))):
                writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        return path.read_bytes()
