"""Videos through the command: films on one scale, and what is remembered of them."""

from __future__ import annotations

import io
import json
import sqlite3

import numpy as np
import pytest
from PIL import Image as PILImage

import camviz
from camviz.errors import InputError
from camviz.io.inputs import Input
from camviz.io.videos import read_frames
from camviz.render import draw
from camviz.run.video_frames import Camera, _frames
from camviz.run.video_output import Maps, Reel, write_films
from camviz.types import Image, Look, Request, SaliencyMap, View
from tests.helpers.small_videos import moving, read_back, write_video


@pytest.fixture
def clip(tmp_path):
    """Eight frames, ten per second."""
    return write_video(tmp_path / "clip.avi", moving(8), 10)


def told(result) -> dict[str, dict]:
    return {(one := json.loads(line))["kind"]: one for line in result.stdout.splitlines()}


def test_a_film_of_every_frame_on_one_scale(heatmap, net_file, clip, written, tmp_path):
    made = heatmap(clip, "-t", "1", "--save-raw", "--json", "--layout", "heatmap", "--colormap", "gray")
    assert made.exit_code == 0, made.stderr
    assert written() == ["clip_gradcam.mp4", "clip_gradcam.npy", "clip_gradcam_strip.png"]
    facts = told(made)["video"]
    assert (facts["frames"], facts["rate"], facts["targets"], facts["size"]) == (8, 10, {"class 1": 8}, [48, 32])

    model = camviz.load(f"{net_file}:Net", input_size=(32, 32))
    images = [Image(pixels) for _, pixels in read_frames(clip)]
    alone = [camviz.explain(model, image, target="1")[0] for image in images]
    raw = np.load(tmp_path / "out" / "clip_gradcam.npy")
    np.testing.assert_allclose(raw, [one.values for one in alone], atol=1e-6)
    highs = [float(one.values.max()) for one in alone]
    assert facts["high"] == pytest.approx(max(highs), rel=1e-5)
    assert min(highs) < 0.8 * max(highs)  # or one scale could not be told from one for each frame
    look = Look("heatmap", "gray", scale=f"fixed:{max(highs)}", full_size=True)
    for frame, one in zip(read_back(tmp_path / "out" / "clip_gradcam.mp4"), alone, strict=True):
        assert np.abs(frame.astype(int) - draw(one.image, one, look).pixels).mean() < 8


BRIGHT = """
from torch import nn


class Bright(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 4, 4)

    def forward(self, x):
        level = self.conv(x).mean() * 0 + x.mean((1, 2, 3))
        return level[:, None] * x.new_tensor([-1, 1])
"""


def test_each_frame_s_likeliest_class_is_explained_and_counted(run, tmp_path):
    (tmp_path / "bright.py").write_text(BRIGHT)
    frames = [np.full((32, 48, 3), 250 if number in (2, 5, 6) else 5, np.uint8) for number in range(8)]
    film = write_video(tmp_path / "clip.avi", frames)
    (tmp_path / "names.txt").write_text("dark\nbright\n")
    asked = [
        "heatmap",
        film,
        "-m",
        f"{tmp_path}/bright.py:Bright",
        "--input-size",
        32,
        "--labels",
        tmp_path / "names.txt",
    ]
    made = run(*asked, "--method", "gradient", "--json", "-o", tmp_path / "out")
    assert made.exit_code == 0, made.stderr
    assert told(made)["video"]["targets"] == {"dark": 5, "bright": 3}
    fixed = run(*asked, "--method", "gradient", "-t", "bright", "--json", "-o", tmp_path / "out")
    assert told(fixed)["video"]["targets"] == {"bright": 8}


def test_every_so_many_frames(heatmap, clip, tmp_path):
    made = heatmap(clip, "--every", 3, "--json", "--save-raw")
    facts = told(made)["video"]
    assert (facts["frames"], facts["rate"], facts["every"]) == (3, pytest.approx(10 / 3, abs=1e-3), 3)
    assert len(read_back(tmp_path / "out" / "clip_gradcam.mp4")) == 3
    assert len(np.load(tmp_path / "out" / "clip_gradcam.npy")) == 3


def test_a_video_is_one_input_that_is_done_once(heatmap, clip, tmp_path, run):
    first = heatmap(clip)
    assert "1 image, 2 files" in first.stderr
    again = heatmap(clip)
    assert (again.stdout, again.exit_code) == ("", 0)
    assert "1 done before" in again.stderr
    (tmp_path / "out" / "clip_gradcam_strip.png").unlink()
    assert "1 image, 2 files" in heatmap(clip).stderr
    with sqlite3.connect(tmp_path / "out" / "camviz.sqlite") as database:
        [(name, state, predictions)] = database.execute("SELECT name, state, predictions FROM inputs").fetchall()
    assert (name, state) == ("clip.avi", "done")
    assert sum(one["frames"] for one in json.loads(predictions)) == 8
    for command in (["restyle"], ["replay", "--model", f"{tmp_path}/net.py:Net"]):
        result = run(*command, tmp_path / "out")
        assert "is a video" in result.stderr
        assert result.exit_code == 1


def test_videos_and_images_side_by_side(heatmap, clip, write_image, tmp_path, written):
    (tmp_path / "bad.mp4").write_bytes(b"words")
    made = heatmap(clip, tmp_path / "bad.mp4", write_image(tmp_path / "a.png"), "--format", "gif")
    assert made.exit_code == 1
    assert "'" + str(tmp_path / "bad.mp4") + "' is damaged" in made.stderr
    assert written() == ["a_gradcam.png", "clip_gradcam.gif", "clip_gradcam_strip.png"]
    film = PILImage.open(tmp_path / "out" / "clip_gradcam.gif")
    assert (film.n_frames, film.info["duration"], film.size) == (8, 100, (48, 32))


def test_several_maps_are_several_films(heatmap, clip, written):
    assert heatmap(clip, "-t", "0", "-t", "1", "--layout", "panel").exit_code == 0
    names = [f"clip_gradcam_{end}" for end in ("0.mp4", "0_strip.png", "1.mp4", "1_strip.png")]
    assert written() == names


def test_a_grid_is_for_images(heatmap, clip, refused):
    result = heatmap(clip, "--layout", "grid", "-q")
    assert "panel" in refused(result, "clip.avi", "'grid'", status=1)


def test_other_commands_say_what_works(run, clip, refused, tmp_path):
    told = refused(run("features", clip, "-m", "demo", "-q", "-o", tmp_path / "out"), "is a video", status=1)
    assert f"camviz heatmap '{clip}'" in told


def test_without_the_codec_another_format_is_named(heatmap, clip, monkeypatch, refused):
    import cv2

    class Lacking:
        def __init__(self, *_):
            pass

        def isOpened(self):
            return False

        def release(self):
            pass

    Lacking.fourcc = cv2.VideoWriter.fourcc
    monkeypatch.setattr(cv2, "VideoWriter", Lacking)
    assert "hint: --format gif" in refused(heatmap(clip, "-q"), "cannot write MP4")


def saliency(values, facets=()) -> SaliencyMap:
    values = np.asarray(values, np.float32)
    view = View((48, 32), (0, 0, 48, 32), (32, 32))
    return SaliencyMap(values, "gradcam", "l", "cat", 0, 1.0, None, "net", view, Image(moving(1)[0]), {}, facets)


def test_a_frame_without_a_map_stays_unpainted(clip, tmp_path):
    with Maps(Look("overlay", format="gif")) as maps:
        maps.numbers += [0, 1, 2]
        maps.add(2, [saliency([[0, 4], [1, 0]])])
        maps.add(0, [saliency([[0, 1], [2, 0]])])
        maps.errors[1] = InputError("nothing there", "look elsewhere")
        files = {}
        reel = Reel(Input(clip, "clip.avi"), 10, 10)
        film, _ = write_films(maps, reel, tmp_path, False, files.__setitem__)
    assert film.facts["note"] == "1 of 3 frames have no map (nothing there)"
    assert film.facts["high"] == 4
    shown = PILImage.open(io.BytesIO(files[film.path]))
    shown.seek(1)
    frame = np.asarray(shown.convert("RGB")).astype(int)
    plain = dict(read_frames(clip))[1]
    assert np.abs(frame - plain).mean() < 3
    assert maps.predictions[0] == {"label": "cat", "index": 0, "score": 1.0, "frames": 2, "probability": None}


def test_a_video_in_which_nothing_is_found_fails(net_file, clip, run, tmp_path):
    made = run(
        *("heatmap", clip, "-m", f"{net_file}:Net", "--input-size", 32, "--task", "multilabel", "-t", "all"),
        *("--min-score", 1, "-o", tmp_path / "out"),
    )
    assert made.exit_code == 1
    assert "clip.avi: " in made.stderr


def test_frames_under_way_hold_no_pixels(clip):
    """But the model's inputs: a long video in a high resolution must not fill the memory."""
    from dataclasses import dataclass

    @dataclass
    class Prepared:
        source: Input
        image: Image

    with Maps(Look()) as maps:
        camera = Camera(1, lambda source, images: Prepared(source, images[0]))
        for frame in _frames(Request(), camera, Input(clip, "clip.avi"), maps):
            assert frame.ready.image.pixels.strides == (0, 0, 0)
            assert (frame.ready.image.width, frame.ready.image.height) == (48, 32)
    assert maps.numbers == list(range(8))


def test_a_video_that_is_cut_off_says_so(heatmap, tmp_path):
    path = write_video(tmp_path / "a.avi", moving(20, 96, 64))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    made = heatmap(path, "--json")
    assert made.exit_code == 0, made.stderr
    assert "of 20 frames could be read" in told(made)["video"]["note"]
    assert "note: a_gradcam.mp4, gradcam: the video is cut off" in made.stderr
