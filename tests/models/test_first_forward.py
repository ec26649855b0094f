"""The first forward: errors in words, models of other precisions, frozen trunks, and what is said beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import camviz
from camviz.engine.explain import Explainer
from camviz.errors import ModelError
from camviz.types import Request

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


class Net(nn.Module):
    """A trunk and a head; `run(self, x)` is the forward."""

    def __init__(self, run: Any = None, trunk: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = trunk or nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU())
        self.head = nn.Linear(8, 3)
        self.run = run

    def forward(self, x: torch.Tensor) -> Any:
        return self.run(self, x) if self.run else self.finish(self.trunk(x))

    def finish(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(features.mean((2, 3)))


class Needy(Net):
    """Its forward needs metadata."""

    def forward(self, x: torch.Tensor, metadata: torch.Tensor) -> torch.Tensor:
        return self.finish(self.trunk(x))


def notes(module: nn.Module, **job: Any) -> str:
    return "\n".join(Explainer(camviz.load(module, input_size=(64, 64)), Request(**job)).notes)


def cuda_only(net: Net, x: torch.Tensor) -> torch.Tensor:
    raise AssertionError("Torch not compiled with CUDA enabled")


def broken(net: Net, x: torch.Tensor) -> torch.Tensor:
    return {}["missing"]


def mixed(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.head(net.trunk(x).mean((2, 3)).double())


@pytest.mark.parametrize(
    ("module", "word", "hint"),
    [
        (Needy(), "metadata", "--input metadata=FILE"),
        (Net(cuda_only), "device", ".cuda()"),
        (Net(broken), "KeyError", "torch.zeros"),
        (Net(mixed), "precision", ".float()"),
    ],
)
def test_only_a_shape_error_speaks_of_the_size(module, word, hint):
    with pytest.raises(ModelError) as caught:
        camviz.explain(camviz.load(module, input_size=(64, 64)), IMAGE)
    assert word in caught.value.message
    assert hint in caught.value.hint
    assert "--input-size" not in caught.value.message + caught.value.hint


def test_a_shape_error_names_a_size_that_works():
    module = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 12 * 12, 3))
    with pytest.raises(ModelError) as caught:
        camviz.explain(camviz.load(module), IMAGE)
    assert caught.value.hint == "--input-size 96"
    assert camviz.explain(camviz.load(module, input_size=(96, 96)), IMAGE)


@pytest.mark.parametrize("method", ["gradcam", "layercam", "scorecam"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_work(dtype, method):
    expected, actual = (
        camviz.explain(camviz.load(Net().to(kind), input_size=(64, 64)), IMAGE, method=method, target=1)[0]
        for kind in (torch.float32, dtype)
    )
    assert actual.values.dtype == np.float32
    assert actual.score == pytest.approx(expected.score, abs=0.01)


def no_grad(net: Net, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        features = net.trunk(x)
    return net.finish(features)


def inference(net: Net, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        features = net.trunk(x)
    return net.finish(features.clone())


@pytest.mark.parametrize(("run", "layer"), [(no_grad, "trunk"), (no_grad, "trunk.1"), (inference, "trunk")])
def test_a_frozen_trunk_is_explained(run, layer):
    [expected] = camviz.explain(camviz.load(Net(), input_size=(64, 64)), IMAGE, layer=layer, target=1)
    [actual] = camviz.explain(camviz.load(Net(run), input_size=(64, 64)), IMAGE, layer=layer, target=1)
    np.testing.assert_allclose(actual.values, expected.values, rtol=1e-5, atol=1e-8)
    assert np.abs(actual.values).max() > 0
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "module",
    [
        Net(trunk=nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False), nn.ReLU())),
        Net(lambda net, x: net.finish(net.trunk(x / x.max()))),
        Net(lambda net, x: net.finish(net.trunk(x)).softmax(0)),
        Net(lambda net, x: net.finish(net.trunk(x - x.mean(0, keepdim=True)))),
    ],
)
def test_a_score_that_depends_on_the_batch_is_said(module):
    assert "batch" in notes(module)


def test_an_ordinary_model_has_nothing_to_say():
    text = notes(Net())
    assert not any(word in text for word in ("batch", "times", "moved"))


def test_a_layer_that_runs_twice_is_said():
    twice = Net(lambda net, x: net.finish(net.trunk[2:](net.trunk[2:](net.trunk[:2](x)))))
    assert "trunk.2 runs 2 times" in notes(twice, layers=("trunk.2",))


@pytest.mark.parametrize(
    ("move", "word"),
    [
        (lambda x: x.flip(-1), "flipped"),
        (lambda x: x[:, :, 8:-8, 8:-8], "cropped"),
        (lambda x: torch.rot90(x, 1, (2, 3)), "rotated"),
        (lambda x: x.roll(3, 2), "shifted"),
    ],
)
def test_an_image_that_the_model_moves_is_said(move, word):
    assert word in notes(Net(lambda net, x: net.finish(net.trunk(move(x)))))


def test_space_to_depth_is_no_crop():
    def focus(net: Net, x: torch.Tensor) -> torch.Tensor:
        parts = [x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
        return net.finish(net.trunk(torch.cat(parts, 1)))

    patches = Net(focus, nn.Sequential(nn.Conv2d(12, 8, 3), nn.ReLU()))
    assert "moved" not in notes(patches)


PAIR = """
import torch
from torch import nn
from torchvision import transforms

class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(CHANNELS, 4, 3), nn.Linear(4, 2)
    def forward(self, before, after, weight=1.0):
        return self.head((self.conv(after) - self.conv(before)).relu().mean((2, 3)))

"""


@pytest.mark.parametrize("channels", [1, 3])
def test_the_lines_in_the_hint_describe_the_model_when_pasted(tmp_path, run, channels):
    path, image = tmp_path / "net.py", tmp_path / "image.png"
    path.write_text(PAIR.replace("CHANNELS", str(channels)))
    Image.fromarray(IMAGE).save(image)
    refused = run("heatmap", image, "-m", f"{path}:Pair", "--input-size", "40")
    assert refused.exit_code == 2
    hint, *lines = refused.stderr.partition("hint: ")[2].splitlines()
    assert "--input after=FILE" in hint
    assert len(lines) <= 10
    assert '"before": batch' in "\n".join(lines)
    path.write_text(path.read_text() + "\n".join(lines))
    result = run("heatmap", image, "-m", f"{path}:Pair", "--json")
    assert result.exit_code == 0, result.stderr
    assert camviz.load(f"{path}:Pair").preprocessing.crop == (40, 40)
