"""The ultralytics package as a source: its files are read without running anything in them, and built again."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

import camviz
from camviz.errors import CamvizError, CheckpointError
from camviz.hooks.capture import first_tensor
from camviz.models.checkpoint.inert import inert_module, tensors_of
from camviz.models.checkpoint.reading import Stub
from camviz.models.preprocess import prepare
from camviz.types import Image
from tests.helpers.inputs import random_images

needs_ultralytics = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="ultralytics is not installed"
)
NAMES = ["yolov8n", "yolo11n-seg", "yolo11n-pose", "yolo11n-obb", "yolo26n", "yolo11n-cls"]


def stub(name: str, **attributes) -> Stub:
    """What the restricted reader makes of an object of an unknown class."""
    module, _, last = name.rpartition(".")
    instance = type(last, (Stub,), {"__module__": module})()
    instance.__setstate__(attributes)
    return instance


def test_the_tensors_of_a_stubbed_model_have_their_names():
    inner = stub("torch.nn.Conv2d", _parameters={"weight": torch.ones(1), "bias": None}, _buffers={}, _modules={})
    hidden = {"seen": torch.ones(1), "kept": torch.ones(1)}
    outer = stub("ultralytics.nn.tasks.X", _buffers=hidden, _non_persistent_buffers_set={"seen"}, _modules={"0": inner})
    assert set(tensors_of(outer)) == {"0.weight", "kept"}
    assert inert_module({"ema": None, "model": outer}) is outer
    assert inert_module({"model": stub("elsewhere.Net")}) is None


def test_a_circle_of_modules_ends():
    outer = stub("ultralytics.nn.tasks.X")
    outer.__setstate__({"_modules": {"a": outer}})
    assert tensors_of(outer) == {}


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr("camviz.models.sources.installed", lambda package: package != "ultralytics")
    with pytest.raises(CamvizError) as caught:
        camviz.load("ultralytics:yolo11n")
    assert "camviz[ultralytics]" in caught.value.hint


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    def save(name: str) -> tuple[Path, torch.nn.Module]:
        from ultralytics import YOLO

        path = tmp_path_factory.mktemp("yolo") / f"{name}.pt"
        torch.manual_seed(0)
        made = YOLO(f"{name}.yaml")
        made.save(str(path))
        return path, made.model.half().float().eval()  # files are in half precision

    return save


@needs_ultralytics
@pytest.mark.parametrize("name", NAMES)
def test_a_saved_file_gives_the_same_raw_output(saved, name):
    path, expected = saved(name)
    model = camviz.load(path)
    assert model.fitted
    assert model.fitted[0] == model.fitted[1]
    inputs = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        ours, theirs = (first_tensor(module(inputs)) for module in (model.module, expected))
    assert torch.allclose(ours, theirs, atol=1e-4)
    image = random_images(1)
    maps = camviz.explain(camviz.load(path, input_size=(64, 64)), image, min_score=0.0)
    assert maps[0].values.any()


@needs_ultralytics
def test_the_input_is_that_of_its_own_predict(saved):
    from ultralytics import YOLO

    path, _ = saved("yolov8n")
    pixels = np.random.default_rng(0).integers(0, 256, (210, 333, 3), dtype=np.uint8)
    seen = {}
    made = YOLO(str(path))
    made.predict(pixels[..., ::-1], verbose=False, conf=0.9)
    made.predictor.model.model.register_forward_pre_hook(lambda _, args: seen.setdefault("x", args[0].clone()))
    made.predict(pixels[..., ::-1], verbose=False, conf=0.9)
    values, view = prepare(Image(pixels), camviz.load(path).preprocessing)
    assert np.abs(values - seen["x"][0].numpy()).max() < 1e-6
    assert view.point(0, 0)[1] < 0


@needs_ultralytics
@pytest.mark.parametrize(
    "change",
    [
        {"activation": "__import__('os').system('true')"},
        {"head": [[-1, 1, "attempt_download_asset", ["x"]]]},
        {"head": [[-1, 1, "nn.functional", []]]},
        {"head": [[-1, 1, "Conv", ["__import__('os')"]]]},
        {"head": [[-1, 1, "Conv", [10**12]]]},
    ],
)
def test_a_description_that_runs_code_is_refused(change):
    from camviz.models.sources.ultralytics import _built, _quiet

    with _quiet() as nets:
        described = {"nc": 2, "backbone": [[-1, 1, "Conv", [8, 3, 2]]], "head": [[-1, 1, "Conv", [8, 3]]], **change}
        with pytest.raises(CheckpointError, match="runs code"):
            _built(nets, described, "DetectionModel", "mine.pt")


@needs_ultralytics
def test_a_model_by_name(run):
    model = camviz.load("ultralytics:yolo11n", weights="none")
    assert model.preprocessing.crop == (640, 640)
    told = run("heatmap", "-m", "ultralytics:yolo11q")
    assert told.exit_code == 2
    assert "yolo11n" in told.stderr
