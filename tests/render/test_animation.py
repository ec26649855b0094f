"""Frames in a GIF or an MP4."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from camviz.render.animation import Film, animate

FRAMES = [np.full((5, 7, 3), 10, np.uint8), np.full((4, 9, 3), 200, np.uint8)]


def test_frames_of_a_gif_have_one_even_size_on_white():
    film = Image.open(io.BytesIO(animate(FRAMES, "gif", 0.3)))
    assert (film.n_frames, film.size, film.info["duration"], film.info["loop"]) == (2, (10, 6), 300, 0)
    film.seek(1)
    shown = np.asarray(film.convert("RGB"))
    assert abs(int(shown[3, 8, 0]) - 200) < 3
    assert shown[5, 0, 0] > 250


def test_an_mp4_repeats_each_frame_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = animate(FRAMES, "mp4", 0.3)
    assert data[4:8] == b"ftyp"
    assert list(tmp_path.iterdir()) == []
    cv2 = pytest.importorskip("cv2")
    (tmp_path / "film.mp4").write_bytes(data)
    reader = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    assert int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) == 6


def test_a_larger_frame_is_cropped():
    with Film("gif", 2, (4, 4)) as film:
        film.add(np.zeros((9, 9, 3), np.uint8))
        assert Image.open(io.BytesIO(film.finish())).size == (4, 4)
