"""Models and answers that camviz and its peers are compared on; everything is untrained, seeded and small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from camviz.engine.explain import Explainer
from camviz.types import Image, Model, Preprocessing, Request, View
from tests.helpers.modules import make

SIZE = {"resnet18": 64, "vgg11": 64}
LAYER = {"resnet18": "layer3", "vgg11": "features.15", "plain": "features.4", "smooth": "conv"}
CLASS = 2


@cache
def built(name: str) -> nn.Module:
    """A model in float32, evaluation mode, with biases and running statistics that do something."""
    if name not in SIZE:
        module = make(name)
    else:
        from torchvision.models import get_model

        torch.manual_seed(0)
        module = get_model(name, num_classes=10).eval()
    if name == "vgg11":  # two small layers in place of a hundred million weights
        module.avgpool = nn.AdaptiveAvgPool2d(1)
        module.classifier = nn.Sequential(nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 10))
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
        if isinstance(part, (nn.BatchNorm2d, nn.Conv2d)) and part.bias is not None:
            nn.init.uniform_(part.bias, -0.3, 0.3)
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=1 / part.in_features**0.5)
    return module


@pytest.fixture
def module() -> Callable[..., nn.Module]:
    """`model("vgg11")`: a copy of its own, ReLUs in place only if asked for."""

    def build(name: str, inplace: bool = False) -> nn.Module:
        module = deepcopy(built(name))
        for part in module.modules():
            if isinstance(part, nn.ReLU):
                part.inplace = inplace
        return module

    return build


@pytest.fixture
def inputs() -> Callable[..., Tensor]:
    """`inputs("vgg11", 2)`: a batch of noise of the model's size, as normalized."""

    def draw(name: str, count: int = 2) -> Tensor:
        size = SIZE.get(name, 32)
        return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))

    return draw


@pytest.fixture
def ours() -> Callable[..., Any]:
    """`ours(model, x, method, layer)`: camviz's raw maps (n, h, w) of class CLASS for normalized inputs.

    Black is 0 in the normalized input, as it is to the peers.
    """

    def compute(
        module: nn.Module, x: Tensor, method: str, layer: str = "", target: int = CLASS, **settings: Any
    ) -> np.ndarray:
        size = (x.shape[3], x.shape[2])
        how = Preprocessing((x.shape[2], x.shape[3]), None, (0.0,) * 3, (1.0,) * 3)
        job = Request(
            methods=(method,),
            targets=(str(target),),
            layers=(layer,) if layer else (),
            settings=tuple((key, str(value)) for key, value in settings.items()),
        )
        image = Image(np.zeros((size[1], size[0], 3), np.uint8))
        view = View(size, (0, 0, *size), size)
        maps = Explainer(Model("net", module, how), job)([image] * len(x), list(x.numpy()), [view] * len(x))
        return np.stack([own[0].values for own in maps])

    return compute


@pytest.fixture
def grad_cam() -> Callable[..., np.ndarray]:
    """`grad_cam("HiResCAM", model, x, layer)`: pytorch-grad-cam's maps before its ReLU, scaling and resizing."""
    peer = pytest.importorskip("pytorch_grad_cam")

    def compute(
        kind: str, module: nn.Module, x: Tensor, layer: str, targets: Sequence[Any] | None = None, **settings: Any
    ) -> np.ndarray:
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        kept: list[np.ndarray] = []
        with getattr(peer, kind)(module, [module.get_submodule(layer)], **settings) as cam:
            image = cam.get_cam_image
            cam.get_cam_image = lambda *given: kept.append(image(*given)) or kept[-1]
            cam(x, targets or [ClassifierOutputTarget(CLASS)] * len(x))
        return kept[0]

    return compute


@pytest.fixture
def torchcam() -> Callable[..., np.ndarray]:
    """`torchcam("LayerCAM", model, x, layer)`: torchcam's maps without ReLU and scaling."""
    peer = pytest.importorskip("torchcam.methods")

    def compute(kind: str, module: nn.Module, x: Tensor, layer: Any, **settings: Any) -> np.ndarray:
        with getattr(peer, kind)(module, layer, **settings) as cam:
            getattr(cam, "base_cam", cam)._relu = False
            scores = module(x)
            [maps] = cam([CLASS] * len(x), scores, normalized=False)
        return maps.detach().numpy()

    return compute


def close(a, b, tolerance=1e-4):
    """Equal but for a share of the largest value."""
    assert np.abs(b).max() > 0
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


def activations_and_gradients(module, x, layer):
    """A and G (n, c, h, w) in float64, without a hook that anyone else uses."""
    module, kept = module.double(), []
    handle = module.get_submodule(layer).register_forward_hook(lambda *a: kept.append(a[2]) or a[2].clone())
    score = module(x.double())[:, CLASS].sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(score, kept)
    module.float()
    return kept[0].detach().numpy(), gradient.numpy()
