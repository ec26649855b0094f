"""camviz and its peers over the same model, input and layer. Every peer's object is built before it is timed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from camviz.engine.explain import Explainer
from camviz.types import Image, Model, Request, View
from tests.benchmarks.timing import Run

CLASS = 7


@dataclass(eq=False)
class Case:
    """An untrained torchvision model, a batch of noise for it, and a layer: camviz's default unless given."""

    name: str
    batch: int = 1
    size: int = 224
    path: str = ""

    def __getstate__(self) -> dict[str, Any]:
        """What another process builds it from; no weights travel."""
        return {"name": self.name, "batch": self.batch, "size": self.size, "path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.module = get_model(self.name).eval()
        self.inputs = torch.randn(self.batch, 3, self.size, self.size)
        self.path = self.path or Explainer(Model(self.name, self.module), Request()).layers[0].path

    @property
    def layer(self) -> nn.Module:
        return self.module.get_submodule(self.path)

    # what is compared

    @contextmanager
    def bare(self) -> Iterator[Run]:
        """One forward in inference mode."""

        def run() -> Tensor:
            with torch.inference_mode():
                return self.module(self.inputs)

        yield run

    @contextmanager
    def camviz(self, *methods: str, **job: Any) -> Iterator[Run]:
        """An `Explainer`, from arrays to raw maps."""
        asked = Request(methods=methods, targets=(str(CLASS),), layers=(self.path,), **job)
        explainer = Explainer(Model(self.name, self.module), asked)
        pixels = np.zeros((self.size, self.size, 3), np.uint8)
        images = [Image(pixels)] * self.batch
        views = [View((self.size, self.size), (0, 0, self.size, self.size), (self.size, self.size))] * self.batch
        arrays = list(self.inputs.numpy())
        yield lambda: explainer(images, arrays, views)

    @contextmanager
    def grad_cam(self, method: str, **settings: Any) -> Iterator[Run]:
        """pytorch-grad-cam."""
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        with getattr(pytorch_grad_cam, method)(self.module, [self.layer], **settings) as cam:
            yield lambda: cam(self.inputs, [ClassifierOutputTarget(CLASS)] * self.batch)
        self.module.zero_grad()

    @contextmanager
    def torchcam(self, method: str, **settings: Any) -> Iterator[Run]:
        """torchcam; methods without gradients after a forward in inference mode, as its guide has it."""
        from torchcam import methods

        gradients = method not in ("ScoreCAM", "AblationCAM")
        with getattr(methods, method)(self.module, self.layer, **settings) as cam:

            def run() -> list[Tensor]:
                with torch.inference_mode(not gradients):
                    scores = self.module(self.inputs)
                return cam([CLASS] * self.batch, scores) if gradients else cam([CLASS] * self.batch)

            yield run

    @contextmanager
    def captum(self) -> Iterator[Run]:
        """captum's LayerGradCam."""
        from captum.attr import LayerGradCam

        cam = LayerGradCam(self.module, self.layer)
        yield lambda: cam.attribute(self.inputs, CLASS)
