"""Reading videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from camviz.errors import InputError
from camviz.io.paths import place
from camviz.io.videos import USUAL_RATE, count_frames, evenly, facts_of, is_video, read_frames, starts_like_video
from tests.helpers.small_videos import moving, write_video


def test_frames_come_in_order_upright_and_rgb(tmp_path):
    frames = moving(7)
    path = write_video(tmp_path / "a.avi", frames, 12.5)
    found = list(read_frames(path))
    assert [number for number, _ in found] == list(range(7))
    for (_, pixels), frame in zip(found, frames, strict=True):
        assert np.abs(pixels[10:22].astype(int) - frame[10:22]).mean() < 6
    assert (facts_of(path).rate, facts_of(path).frames, count_frames(path)) == (12.5, 7, 7)


def test_frames_that_nobody_wants_are_passed_over(tmp_path):
    path = write_video(tmp_path / "a.avi", moving(8))
    every = dict(read_frames(path))
    third = dict(read_frames(path, lambda number: number % 3 == 0))
    assert list(third) == [0, 3, 6]
    assert all(np.array_equal(third[number], every[number]) for number in third)


@pytest.mark.parametrize(
    ("frames", "count", "expected"), [(10, 4, [1, 3, 6, 8]), (3, 6, [0, 0, 1, 1, 2, 2]), (5, 5, [0, 1, 2, 3, 4])]
)
def test_evenly_over_a_video(frames, count, expected):
    assert evenly(frames, count) == expected


def test_what_is_a_video():
    assert is_video(Path("A.MP4"))
    assert not is_video(Path("a.gif"))
    assert starts_like_video(b"\0\0\0\x20ftypisom")
    assert not starts_like_video(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    ("content", "words"), [(b"", r"is empty \(0 bytes\)"), (b"words", "is damaged, or in a codec"), (None, "no file")]
)
def test_what_is_none(content, words, tmp_path):
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        list(read_frames(path))


def test_a_video_in_a_store():
    with pytest.raises(InputError, match=r"'memory://clips/a\.mp4' is a video"):
        facts_of(place("memory://clips/a.mp4"))


def test_the_decoder_itself_says_nothing(fresh, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"words")
    made = fresh("heatmap", "a.mp4", "-m", "demo", "-q")
    assert made.returncode == 1
    assert [line.partition(": ")[0] for line in made.stderr.splitlines()] == ["error", "hint"]


def test_a_video_without_frames(tmp_path, monkeypatch):
    import cv2

    path = write_video(tmp_path / "a.avi", moving(2))
    monkeypatch.setattr(cv2, "VideoCapture", lambda _path: Empty())
    with pytest.raises(InputError, match="has no frames"):
        list(read_frames(path))
    assert (facts_of(path).rate, facts_of(path).frames) == (USUAL_RATE, 0)


class Empty:
    """A decoder that opens a file and finds nothing in it."""

    def isOpened(self):
        return True

    def grab(self):
        return False

    def get(self, _what):
        return float("nan")

    def release(self):
        pass
