"""ONNX models: through onnxruntime where it is installed, otherwise said for what they are."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types

import numpy as np
import pytest

import camviz
from camviz.errors import CheckpointError, ModelError

START = b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x10\n\x01x"


class Session:
    """Like onnxruntime's: scores are the mean of every channel."""

    shape: tuple[object, ...] = ("batch", 3, 32, 32)
    kind = "tensor(float)"

    def __init__(self, data, options, providers) -> None:
        if data != START:
            raise RuntimeError("[ONNXRuntimeError] INVALID_PROTOBUF")

    def get_inputs(self):
        return [types.SimpleNamespace(name="x", shape=list(self.shape), type=self.kind)]

    def get_outputs(self):
        return [types.SimpleNamespace(name="scores")]

    def run(self, names, inputs):
        if self.shape[0] == 1:
            assert len(inputs["x"]) == 1
        return [inputs["x"].mean((2, 3))]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.onnx").write_bytes(START)
    return tmp_path / "a.onnx"


@pytest.fixture
def runtime(monkeypatch):
    module = types.ModuleType("onnxruntime")
    module.__spec__ = importlib.machinery.ModuleSpec("onnxruntime", None)
    module.InferenceSession = Session
    module.SessionOptions = types.SimpleNamespace
    monkeypatch.setitem(sys.modules, "onnxruntime", module)


@pytest.mark.parametrize("shape", [("batch", 3, 32, 32), (1, 3, 32, 32), (None, 3, "height", "width")])
def test_occlusion_and_rise_work(path, runtime, monkeypatch, pixels, shape):
    monkeypatch.setattr(Session, "shape", shape)
    model = camviz.load(path, input_size=(32, 32))
    assert model.preprocessing.crop == (32, 32)
    images = [pixels(40, 40, seed) for seed in range(2)]
    for method in ("occlusion", "rise"):
        maps = camviz.explain(model, images, method=method, target="1", settings={})
        assert [saliency.method for saliency in maps] == [method, method]
        assert np.ptp(maps[0].values) > 0
    with pytest.raises(ModelError, match="ONNX") as caught:
        camviz.explain(model, images[0], method="gradcam")
    assert "--method" in caught.value.hint


@pytest.mark.parametrize("shape", [("batch", 10), ("batch", 3, 4, 32, 32)])
def test_an_input_that_is_no_image(path, runtime, monkeypatch, shape):
    monkeypatch.setattr(Session, "shape", shape)
    with pytest.raises(CheckpointError, match="does not take one batch of images"):
        camviz.load(path)


def test_a_damaged_one(path, runtime):
    path.write_bytes(START + b"\xff")
    with pytest.raises(CheckpointError, match=r"damaged.*INVALID_PROTOBUF"):
        camviz.load(path)


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is not None, reason="onnxruntime is installed")
def test_without_onnxruntime_it_is_named(path):
    with pytest.raises(CheckpointError, match="ONNX") as caught:
        camviz.load(path)
    assert "pip install onnxruntime" in caught.value.hint
    with pytest.raises(CheckpointError, match="ONNX"):
        camviz.load("resnet18", checkpoint=path)
