"""Models of clips: tiny ones with insides that are known, and torchvision's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import camviz
from camviz.engine.explain import Explainer
from camviz.errors import InputError, ModelError, RequestError
from camviz.io.inputs import Input
from camviz.models.layers import default_layer, find_layers, grid, list_layers
from camviz.models.load import plan
from camviz.models.preprocess import prepare_clip
from camviz.models.survey import survey
from camviz.models.video_models import stacked
from camviz.run.context import RunContext
from camviz.run.heatmap import heatmaps
from camviz.run.video_frames import _at
from camviz.types import Image, Layer, Look, Model, ModelRequest, Preprocessing, Request, SaliencyMap, View
from tests.helpers.small_videos import write_video

FRAMES, SIDE = 4, 16
HOW = Preprocessing((FRAMES * SIDE, SIDE), None, (0.0,) * 3, (1.0,) * 3, frames=FRAMES)


class Moving(nn.Module):
    """Convolutions in space and time, the mean of everything, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 5, 3, (1, 2, 2), 1)
        self.stage = nn.Sequential(nn.ReLU(), nn.Conv3d(5, 6, 3, (2, 2, 2), 1), nn.ReLU(inplace=True))
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        assert x.shape[1:] == (3, FRAMES, SIDE, SIDE)
        return self.fc(self.stage(self.stem(x)).mean((2, 3, 4)))


class Last(nn.Module):
    """Features on the last axis, as in Swin for clips."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv3d(3, 5, (2, 4, 4), (2, 4, 4))
        self.norm = nn.LayerNorm(5)
        self.fc = nn.Linear(5, 3)

    def forward(self, x):
        return self.fc(self.norm(self.embed(x).permute(0, 2, 3, 4, 1)).mean((1, 2, 3)))


def model_of(module: nn.Module) -> Model:
    return Model("clips", stacked(module.eval(), FRAMES), HOW, task="classification")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(1)


def random_images(count: int = FRAMES) -> list[Image]:
    rng = np.random.default_rng(2)
    return [Image(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)) for _ in range(count)]


def test_gradcam_of_a_clip_is_that_of_its_definition():
    plain = Moving().eval()
    clip = np.stack([one.pixels for one in random_images()]).astype(np.float32) / 255  # (t, h, w, c)
    seen = plain.stem(torch.from_numpy(clip).permute(3, 0, 1, 2)[None])
    activations = plain.stage(seen).detach().requires_grad_()
    plain.fc(activations.mean((2, 3, 4)))[0, 2].backward()
    weights = activations.grad.mean((2, 3, 4), keepdim=True)
    expected = (weights * activations).sum(1)[0].detach().numpy()  # (t, h, w)

    model = model_of(plain)
    values, view = prepare_clip(random_images(), model.preprocessing)
    explainer = Explainer(model, Request(targets=("2",)))
    [[found]] = explainer(random_images(1), [values], [view])
    assert (found.layer, explainer.layers[0].layout) == ("stage.2", "clip")
    assert expected.shape == (2, 4, 4)
    np.testing.assert_allclose(found.values.reshape(2, 4, 4), expected, atol=1e-6)
    for frame, step in enumerate([0, 0, 1, 1]):
        np.testing.assert_allclose(_at(found, frame, FRAMES), expected[step], atol=1e-6)


def test_features_on_the_last_axis():
    model = model_of(Last())
    seen = survey(model.module, model.preprocessing.crop)
    layer = default_layer(model, seen)
    assert (layer.path, layer.layout, layer.shape, grid(layer, seen.input_size)) == (
        *("norm", "clip_last", (2, 4, 4, 5)),
        (8, 4),
    )
    values, view = prepare_clip(random_images(), model.preprocessing)
    [[found]] = Explainer(model, Request(targets=("1",)))(random_images(1), [values], [view])
    assert found.values.shape == (8, 4)
    assert np.abs(found.values).max() > 0


@pytest.mark.parametrize(("layout", "shape"), [("clip", (2, 5, 3, 4, 6)), ("clip_last", (2, 3, 4, 6, 5))])
def test_maps_of_a_layer_and_back(layout, shape):
    output = torch.arange(720.0).reshape(shape)
    layer = Layer("x", layout)
    maps = layer.to_maps(output, (12, 6))
    assert maps.shape == (2, 5, 12, 6)
    index = (1, 4, 2, 3, 5) if layout == "clip" else (1, 2, 3, 5, 4)  # channel 4, step 2, row 3, column 5
    assert maps[1, 4, 2 * 4 + 3, 5] == output[index]
    assert torch.equal(layer.from_maps(maps, output[:1]), output)


def test_frames_are_prepared_one_by_one_and_stacked():
    shown = random_images()
    values, view = prepare_clip(shown, HOW)
    assert values.shape == (3, FRAMES * SIDE, SIDE)
    np.testing.assert_allclose(values[:, 2 * SIDE : 3 * SIDE], shown[2].pixels.transpose(2, 0, 1) / 255, atol=1e-6)
    assert view == View((SIDE, SIDE), (0, 0, SIDE, SIDE), (SIDE, SIDE))


def test_where_something_happens_and_when(tmp_path):
    """A red square at the right, in the second half of a video: that is where and when the score comes from."""
    module = Last()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.norm = nn.Identity()
        module.embed.weight[0, 0] = 1 / 32
        module.fc.weight[1, 0] = 1
    frames = np.zeros((40, SIDE, SIDE, 3), np.uint8)
    frames[20:, 4:12, 8:] = (255, 0, 0)
    path = write_video(tmp_path / "a.avi", frames)
    model = model_of(module)
    job = Request(targets=("1",), layers=("embed",), save_raw=True, look=Look("panel"))
    [record] = heatmaps(job, Explainer(model, job), [Input(path, "a.avi")], RunContext(tmp_path))
    assert record.error is None
    film, _, raw = record.written
    assert (film.facts["frames"], film.facts["clip"], film.facts["rate"]) == (4, 4, 1)
    values = np.load(raw.path)  # (frames, 4, 4)
    assert values.shape == (4, 4, 4)
    assert np.abs(values[:2]).max() < 0.05 * values.max()
    assert values[2:, 1:3, 2:].min() > 0.5 * values.max()
    assert np.abs(values[:, :, :1]).max() < 0.1 * values.max()


def test_a_short_video_shows_its_frames_once(tmp_path):
    path = write_video(tmp_path / "a.avi", [np.full((SIDE, SIDE, 3), 40 * k, np.uint8) for k in range(3)])
    model, job = model_of(Moving()), Request(targets=("0",))
    [record] = heatmaps(job, Explainer(model, job), [Input(path, "a.avi")], RunContext(tmp_path))
    assert record.written[0].facts["frames"] == 3


def test_what_is_for_images_is_refused():
    model = model_of(Moving())
    with pytest.raises(InputError, match="is an image, and the model takes clips"):
        camviz.explain(model, random_images()[0], target="0")
    for method in ("rise", "scorecam", "smoothgrad", "refinecam", "fullgrad"):
        with pytest.raises(ModelError, match=f"'{method}' is for images"):
            Explainer(model, Request(methods=(method,), targets=("0",)))
    for job in (Request(smooth="aug", targets=("0",)), Request(fuse="mean", targets=("0",))):
        with pytest.raises(RequestError, match="is for images"):
            Explainer(model, job)
    skipped = Explainer(model, Request(methods=("all",), targets=("0",))).skipped
    assert {"rise", "scorecam", "refinecam", "rollout"} <= set(skipped)
    assert not {"gradcam", "eigencam", "cam"} & set(skipped)


def test_what_comes_of_torchvision():
    found = plan(ModelRequest("swin3d_t", weights="none"))
    assert (found.task, found.labels[0], len(found.labels)) == ("classification", "abseiling", 400)
    model = camviz.load("r3d_18", weights="none", input_size=(80, 64))
    assert (model.preprocessing.crop, model.preprocessing.frames) == ((16 * 64, 80), 16)


def test_commands_on_images_say_so_at_once(run, refused, write_image, tmp_path):
    for command in ("features", "maximize"):
        given = ("--target", 0) if command == "maximize" else (write_image(tmp_path / "a.png"),)
        result = run(command, *given, "-m", "r3d_18", "--weights", "none", "-q", "-o", tmp_path / "out")
        assert "camviz heatmap clip.mp4 --model r3d_18" in refused(result, "r3d_18 takes clips of video")


def test_layers_of_a_model_of_clips(run):
    listed = [json.loads(line) for line in run("layers", "r3d_18", "--json").stdout.splitlines()]
    [last] = [one for one in listed if one["path"] == "layer4"]
    assert last["stride"] == 16


ZOO = {
    "r3d_18": ("layer4", (2, 7, 7)),
    "mc3_18": ("layer4", (16, 7, 7)),
    "r2plus1d_18": ("layer4", (2, 7, 7)),
    "s3d": ("features.15", (8, 7, 7)),
    "mvit_v1_b": ("blocks.15.norm1", (8, 7, 7)),
    "mvit_v2_s": ("blocks.15.norm1", (8, 7, 7)),
    "swin3d_t": ("norm", (16, 7, 7)),
    "swin3d_s": ("norm", (16, 7, 7)),
    "swin3d_b": ("norm", (16, 7, 7)),
}


@pytest.mark.parametrize("name", ZOO)
def test_default_layers_of_torchvisions_models(name):
    model = plan(ModelRequest(name, weights="none")).skeleton()
    seen = survey(model.module, model.preprocessing.crop, name)
    path, (steps, height, width) = ZOO[name]
    layer = default_layer(model, seen)
    assert (layer.path, grid(layer, seen.input_size)) == (path, (steps * height, width))
    paths = {one.path: one for _, one in list_layers(model, seen) if one}
    assert find_layers(model, [path], seen) == [paths[path]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_torchvisions_models_from_video_to_film(name, tmp_path):
    rng = np.random.default_rng(0)
    path = write_video(tmp_path / "a.avi", rng.integers(0, 256, (40, 48, 64, 3), np.uint8))
    model = camviz.load(name, weights="none")
    if name.startswith("mvit"):  # built with a head of nearly nothing
        nn.init.normal_(model.module.head[-1].weight)
    job = Request(targets=("juggling balls",), save_raw=True)
    [record] = heatmaps(job, Explainer(model, job), [Input(path, "a.avi")], RunContext(tmp_path))
    assert record.error is None
    film, _, raw = record.written
    assert film.facts["frames"] == min(40, model.preprocessing.frames)
    assert np.abs(np.load(raw.path)).max() > 0
    assert Path(film.path).stat().st_size > 1000


def test_a_frames_map_is_that_of_its_step():
    view = View((SIDE, SIDE), (0, 0, SIDE, SIDE), (SIDE, SIDE))
    values = np.repeat(np.arange(3, dtype=np.float32), 2)[:, None].repeat(2, 1)  # three steps of 2×2
    one = SaliencyMap(values, "m", "l", "t", 0, 0.0, None, "net", view, random_images(1)[0])
    assert [int(_at(one, frame, 6)[0, 0]) for frame in range(6)] == [0, 0, 1, 1, 2, 2]
