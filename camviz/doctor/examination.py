"""What is looked at once and read by many checks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from camviz.engine.explain import Explainer
from camviz.engine.forward import ForwardPass, ForwardRequest, call, run_forward
from camviz.engine.probe import Probe, Reading
from camviz.errors import CamvizError, ModelError
from camviz.hooks.capture import borrowed, first_tensor, watch
from camviz.hooks.devices import autocast
from camviz.methods import DEFAULT
from camviz.models.layers import list_layers
from camviz.models.preprocess import prepare
from camviz.models.survey import Survey, survey
from camviz.tasks.classification import Classification
from camviz.types import Image, Job, Layer, Model, Preprocessing, SaliencyMap, Target

MOST = 32  # images looked at: more say little more


@dataclass(frozen=True)
class State:
    """One layer during the forward: whether its output and its weights are all finite numbers."""

    path: str
    kind: str
    finite: bool
    finite_weights: bool


class Examination:
    """A model, a job and images; everything else is computed when a check first asks for it.

    Images are shown as the model's preprocessing has it; those of another shape than the first are left out.
    """

    def __init__(self, model: Model, job: Job, images: Sequence[Image]) -> None:
        self.model, self.job = model, job
        prepared = [(image, *prepare(image, model.preprocessing, job.fit)) for image in images[:MOST]]
        same = [one for one in prepared if one[1].shape == prepared[0][1].shape]
        self.images = [image for image, _, _ in same]
        self.inputs = torch.from_numpy(np.stack([values for _, values, _ in same])).to(model.device)
        self.views = [view for _, _, view in same]
        self.training = model.module.training

    @cached_property
    def seen(self) -> Survey:
        """The model's layers."""
        return survey(self.model.module, self.model.preprocessing.crop, self.model.name)

    @cached_property
    def explainer(self) -> Explainer:
        """The job, ready; raises what the job's user would see."""
        return Explainer(self.model, self.job)

    @property
    def method(self) -> str:
        """The name of the method that is asked for first."""
        try:
            return self.explainer.methods[0].name
        except CamvizError:
            return self.job.methods[0] if self.job.methods else DEFAULT

    @property
    def layer(self) -> Layer:
        """The layer that is explained."""
        return self.explainer.layers[0]

    @property
    def layer_path(self) -> str:
        """Its path, "" when there is none."""
        try:
            return self.layer.path
        except CamvizError:
            return ""

    def output(self, inputs: Tensor) -> Any:
        """The model's output, without gradients."""
        with borrowed(self.model.module), torch.no_grad(), autocast(inputs.device, self.job.precision):
            return call(self.model, inputs)

    @cached_property
    def logits(self) -> Tensor | None:
        """(n, classes) of a classifier, None for other models."""
        return self._classes(self.output(self.inputs))

    def seen_as(self, how: Preprocessing) -> Tensor | None:
        """The logits of the same images under another preprocessing."""
        values = [prepare(image, how, self.job.fit)[0] for image in self.images]
        return self._classes(self.output(torch.from_numpy(np.stack(values)).to(self.model.device)))

    def _classes(self, output: Any) -> Tensor | None:
        tensor = first_tensor(output)
        classes = type(self.explainer.task) is Classification and tensor is not None and tensor.ndim == 2
        return tensor.float() if classes and tensor is not None else None

    @cached_property
    def states(self) -> list[State]:
        """Every module that ran, in the order in which they finished."""
        found: list[State] = []

        def record(path: str, module: nn.Module, given: Any, output: Any) -> None:
            weights = all(bool(torch.isfinite(p).all()) for p in module.parameters(recurse=False))
            found.append(State(path, type(module).__name__, _finite(output), weights))

        parts = {path: part for path, part in self.model.module.named_modules() if path}
        with watch(parts, record):
            self.output(self.inputs)
        return found

    @cached_property
    def watched(self) -> ForwardPass:
        """One forward that can be differentiated to every layer with a grid."""
        layers = [layer for _, layer in list_layers(self.model, self.seen) if layer]
        ask = ForwardRequest(self.model, tuple(layers), True, self.explainer.task, self.job.precision)
        return run_forward(ask, self.inputs)

    @cached_property
    def targets(self) -> list[Target]:
        """The first target of every image."""
        wanted = self.explainer.wanted[0]
        rows = zip(self.watched.rows, self.views, strict=True)
        return [self.explainer.task.choose(wanted, row, view)[0] for row, view in rows]

    @cached_property
    def gradients(self) -> dict[str, Tensor]:
        """dS/dA as (n, c, h, w) for every layer that the score depends on."""
        reading = Reading(self.watched, self.targets)
        scores = reading.scores
        layers = self.watched.ask.layers
        tensors = [self.watched.captured[layer.path] for layer in layers]
        if not scores.requires_grad:
            return {}
        grads = torch.autograd.grad(scores.sum(), tensors, allow_unused=True)
        probes = {layer.path: Probe(reading, layer) for layer in layers}
        return {
            layer.path: probes[layer.path].maps(grad)
            for layer, grad in zip(layers, grads, strict=True)
            if grad is not None
        }

    def raw_gradient(self) -> Tensor:
        """dS/d(output) of the chosen layer as the model gives it, prefix tokens and all."""
        return Reading(self.explainer_pass, self.targets).gradients[self.layer.path]

    @cached_property
    def explainer_pass(self) -> ForwardPass:
        """The explainer's own forward."""
        return run_forward(self.explainer.ask, self.inputs)

    @cached_property
    def maps(self) -> list[SaliencyMap]:
        """The job's maps."""
        explained = self.explainer(self.images, list(self.inputs.cpu().numpy()), self.views)
        return [one for maps in explained if isinstance(maps, list) for one in maps]

    @cached_property
    def against_noise(self) -> list[SaliencyMap]:
        """The job's maps, each measured against the same model with its weights shuffled; none where that fails."""
        try:
            explained = Explainer(self.model, replace(self.job, floor=True))
            found = explained(self.images, list(self.inputs.cpu().numpy()), self.views)
        except CamvizError:
            return []
        return [one for maps in found if isinstance(maps, list) for one in maps]

    def live_layer(self) -> str:
        """The last layer with a gradient, "" when there is none."""
        live = [path for path, gradient in self.gradients.items() if bool(gradient.any())]
        return live[-1] if live else ""

    def command(self, *options: str) -> str:
        """A `camviz heatmap` with the job's model, as it was typed, and these options instead of its own."""
        request = self.job.model
        name = request.spec if request.spec != "demo" else self.model.name  # in Python nothing was typed
        size = "x".join(map(str, request.input_size or ()))
        typed = {"-m": name if name != "demo" else "", "--checkpoint": request.checkpoint, "--labels": request.labels}
        words = [
            f"{option} {shlex.quote(value)}"
            for option, value in (typed | {"--input-size": size}).items()
            if value and not any(given.startswith(option) for given in options)
        ]
        return " ".join(["camviz heatmap IMAGES", *words, *options])

    def facts(self) -> dict[str, Any]:
        """What it will take: bytes of weights and of all layers' outputs for one image."""
        weights = sum(p.numel() * p.element_size() for p in self.model.module.parameters())
        try:
            maps = sum(int(np.prod(one.shape)) * 4 for one in self.seen.layers)
        except ModelError:
            return {"weights": _megabytes(weights)}
        return {"weights": _megabytes(weights), "outputs of all layers, one image": _megabytes(maps)}


def _finite(value: Any) -> bool:
    tensor = first_tensor(value)
    return tensor is None or not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
