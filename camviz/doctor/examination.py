"""`Examination`: outputs, gradients and maps that several checks read, each computed once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

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
from camviz.models.extra_inputs import batch_size
from camviz.models.finish import describe_input
from camviz.models.layers import list_layers
from camviz.models.preprocess import prepare
from camviz.models.survey import Survey, survey
from camviz.models.typed import typed_options
from camviz.tasks.classification import Classification
from camviz.types import Fit, Image, Layer, Model, Preprocessing, Request, SaliencyMap, Target

MOST, _PIXELS = 32, 32 * 128 * 128  # images that are examined: more of small inputs, whose differences are small
_AT_MOST = 128
T = TypeVar("T")


def most_images(model: Model) -> int:
    """Return how many images are examined: 32, up to 128 for inputs below 128×128."""
    height, width = model.preprocessing.crop
    return min(_AT_MOST, max(MOST, _PIXELS // (height * width)))


def spread_out(items: Sequence[T], count: int) -> list[T]:
    """Return the items with `count` evenly spaced ones first, in random order with a fixed seed.

    So all folders of a sorted list are among the first.
    """
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    first = np.random.default_rng(0).permutation(places).tolist()
    return [*(items[i] for i in first), *(items[i] for i in sorted(set(range(len(items))) - set(first)))]


@dataclass(frozen=True)
class State:
    """One layer during the forward: whether its output and its weights are finite."""

    path: str
    kind: str
    finite: bool
    finite_weights: bool


class Examination:
    """A model, a request and images; everything else is computed on first access.

    Images are prepared by the model's preprocessing; those with another input shape than the first are left out.
    `not_judged`: by check, the number of images that it needs, for checks that had too few.
    """

    def __init__(self, model: Model, request: Request, images: Sequence[Image]) -> None:
        self.model, self.request = model, request
        count = batch_size(model, most_images(model))
        chosen = spread_out(images, count)[:count]
        prepared = [(image, *prepare(image, model.preprocessing, request.fit)) for image in chosen]
        same = [item for item in prepared if item[1].shape == prepared[0][1].shape]
        self.images = [image for image, _, _ in same]
        self.inputs = torch.from_numpy(np.stack([values for _, values, _ in same])).to(model.device)
        self.views = [view for _, _, view in same]
        self.training = model.module.training
        self.not_judged: dict[str, int] = {}
        self.memo: dict[str, Any] = {}  # of results that several checks share

    def enough(self, check: str, images: int, available: int | None = None) -> bool:
        """Return whether there are enough images for a check; note it as not judged if not."""
        if (len(self.images) if available is None else available) >= images:
            return True
        self.not_judged[check] = images
        return False

    @cached_property
    def seen(self) -> Survey:
        """The model's layers."""
        return survey(self.model.module, self.model.preprocessing.crop, self.model.name)

    @cached_property
    def explainer(self) -> Explainer:
        """The explainer of the request; raises the errors of the request."""
        return Explainer(self.model, replace(self.request, floor=True))

    @property
    def method(self) -> str:
        """The name of the first requested method."""
        try:
            return self.explainer.methods[0].name
        except CamvizError:
            return self.request.methods[0] if self.request.methods else DEFAULT

    @property
    def layer(self) -> Layer:
        """The first target layer."""
        return self.explainer.layers[0]

    @property
    def layer_path(self) -> str:
        """The path of the target layer, "" without one."""
        with suppress(CamvizError):
            return next((layer.path for layer in self.explainer.layers), "")
        return ""

    def output(self, inputs: Tensor) -> Any:
        """Return the model's output, without gradients."""
        with borrowed(self.model.module), torch.no_grad(), autocast(inputs.device, self.request.precision):
            return call(self.model, inputs)

    @cached_property
    def raw_output(self) -> Any:
        """The model's output for the images."""
        return self.output(self.inputs)

    @cached_property
    def logits(self) -> Tensor | None:
        """(n, classes) of a classifier, None for other models."""
        return self._classes(self.raw_output)

    def prepared(self, how: Preprocessing, count: int, fit: Fit | None = None) -> Tensor:
        """Return the inputs of the first `count` images under another preprocessing."""
        values = [prepare(image, how, fit or self.request.fit)[0] for image in self.images[:count]]
        return torch.from_numpy(np.stack(values)).to(self.model.device)

    @cached_property
    def named_classes(self) -> dict[int, int]:
        """By image number: the index of the class that its file or folder is named after."""
        names = {plain(name): index for index, name in reversed(list(enumerate(self.model.labels))) if plain(name)}
        named: dict[int, int] = {}
        for number, image in enumerate(self.images):
            for part in () if image.path is None else (image.path.parent.name, image.path.stem):
                text = f" {plain(part)} "
                found = [index for name, index in names.items() if f" {name} " in text]
                if found:
                    named.setdefault(number, max(found, key=lambda index: len(self.model.labels[index])))
        return named

    def log_likelihood(self, inputs: Tensor) -> Tensor:
        """Return the log probability of each image's named class, NaN for images without one: (n,)."""
        logits = self._classes(self.output(inputs))
        result = torch.full((len(inputs),), float("nan"))
        if logits is not None:
            named = [(number, index) for number, index in self.named_classes.items() if number < len(inputs)]
            for number, index in named:
                result[number] = logits.log_softmax(1)[number, index]
        return result

    def confidence(self, inputs: Tensor) -> Tensor:
        """Return the probability of the top-1 class of each input (n,)."""
        logits = self._classes(self.output(inputs))
        return torch.full((len(inputs),), float("nan")) if logits is None else logits.softmax(1).amax(1).cpu()

    def _classes(self, output: Any) -> Tensor | None:
        tensor = first_tensor(output)
        if type(self.explainer.task) is not Classification or tensor is None or tensor.ndim != 2:
            return None
        tensor = tensor.float()
        return tensor.clamp(min=1e-12).log() if probabilities(tensor) == "softmax" else tensor

    @cached_property
    def states(self) -> list[State]:
        """Every module that ran, in the order in which they finished."""
        states: list[State] = []

        def record(path: str, module: nn.Module, _inputs: Any, output: Any) -> None:
            weights = all(bool(torch.isfinite(p).all()) for p in module.parameters(recurse=False))
            states.append(State(path, type(module).__name__, _finite(output), weights))

        submodules = {path: submodule for path, submodule in self.model.module.named_modules() if path}
        with watch(submodules, record):
            self.output(self.inputs)
        return states

    @cached_property
    def watched(self) -> ForwardPass:
        """One forward with gradients at every layer with a grid."""
        layers = [layer for _, layer in list_layers(self.model, self.seen) if layer]
        ask = ForwardRequest(self.model, tuple(layers), True, self.explainer.task, self.request.precision)
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
        """Return dS/d(output) of the target layer in the model's own layout, with prefix tokens."""
        return Reading(self.explainer_pass, self.targets).gradients[self.layer.path]

    @cached_property
    def explainer_pass(self) -> ForwardPass:
        """The explainer's own forward."""
        return run_forward(self.explainer.ask, self.inputs)

    @cached_property
    def maps(self) -> list[SaliencyMap]:
        """The request's maps, weak ones marked."""
        explained = self.explainer(self.images, list(self.inputs.cpu().numpy()), self.views)
        return [saliency_map for maps in explained if isinstance(maps, list) for saliency_map in maps]

    def live_layer(self) -> str:
        """Return the last layer with a gradient, "" without one."""
        live = [path for path, gradient in self.gradients.items() if bool(gradient.any())]
        return live[-1] if live else ""

    def command(self, *options: str) -> str:
        """Return a `camviz heatmap` command with everything that was typed; `options` replace typed ones."""
        replaced = {word for option in options for word in option.split() if word.startswith("--")}
        typed = [(option, value) for option, value in self._typed() if option not in replaced]
        words = [f"{option} {shlex.quote(value)}".strip() if value else option for option, value in typed]
        return " ".join(["camviz heatmap IMAGES", *words, *filter(None, options)])

    def _typed(self) -> Iterator[tuple[str, str]]:
        """Yield (option, value) of everything in the request that is not a default; the value of a flag is ""."""
        model, request = self.request.model, self.request
        name = model.spec if model.spec != "demo" else self.model.name  # models from Python have no spec
        yield from [("-m", name)] if name != "demo" else []
        yield from typed_options(model)
        values = {
            "--method": ",".join(request.methods),
            "--layer": ",".join(request.layers),
            "--score": request.score,
            "--fit": "" if request.fit == "model" else request.fit,
            "--smooth": "" if request.smooth == "none" else request.smooth,
            "--fuse": "" if request.fuse == "none" else request.fuse,
            "--precision": "" if request.precision == "fp32" else request.precision,
        }
        yield from ((option, value) for option, value in values.items() if value)
        yield from (("--set", f"{key}={value}") for key, value in request.settings)
        yield from (("--target", target) for target in request.targets)

    def facts(self) -> dict[str, Any]:
        """Return the memory of the weights and of all layers' outputs, and the checks that need more images."""
        weights = sum(p.numel() * p.element_size() for p in self.model.module.parameters())
        try:
            maps = sum(int(np.prod(run.shape)) * 4 for run in self.seen.layers)
        except ModelError:
            return {"weights": _megabytes(weights)}
        few = {check: f"not judged: needs {images} images" for check, images in self.not_judged.items()}
        few["input"] = describe_input(self.model)
        with suppress(CamvizError):
            few["output"] = str(self.explainer.model.output)
        return {**few, "weights": _megabytes(weights), "outputs of all layers, one image": _megabytes(maps)}


def _finite(value: Any) -> bool:
    tensor = first_tensor(value)
    return tensor is None or not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def plain(name: str) -> str:
    """Return a name in lower case, without signs and WordNet numbers."""
    return " ".join(re.sub(r"\bn\d{8}\b", " ", re.sub(r"[\W_]+", " ", name.casefold())).split())


def probabilities(output: Tensor) -> str:
    """Return "softmax", "log_softmax" or "sigmoid" if the scores (n, classes) are their output, "" if they are not."""
    if output.ndim != 2 or output.shape[1] < 2 or not bool(torch.isfinite(output).all()):
        return ""
    ones = torch.ones(len(output), device=output.device)
    if bool((output <= 0).all()) and torch.allclose(output.exp().sum(1), ones, atol=1e-3):
        return "log_softmax"
    if not bool(((output >= 0) & (output <= 1)).all()):
        return ""
    if torch.allclose(output.sum(1), ones, atol=1e-3):
        return "softmax"
    return "sigmoid" if float(output.max() - output.min()) > 0.5 else ""


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
