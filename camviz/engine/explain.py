"""`Explainer`: pictures in, saliency maps out; one forward serves all targets, layers and methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from camviz.engine.probe import Pass, Probe, run_forward
from camviz.methods import METHODS
from camviz.models.layers import find_layers
from camviz.tasks.classification import choose, parse_targets
from camviz.types import Map, Model, Picture, SaliencyMap, Target, View


class Explainer:
    """A question to a model, checked once and asked of many batches.

    `layers` are patterns (none: the default layer), `methods` names, `targets` as on the command line.
    """

    def __init__(
        self,
        model: Model,
        layers: Sequence[str] = (),
        methods: Sequence[str] = ("gradcam",),
        targets: Sequence[str] = ("top1",),
        score: str = "logit",
        precision: str = "fp32",
    ) -> None:
        self.model, self.score, self.precision = model, score, precision
        self.methods = [METHODS.find(name) for name in methods]
        self.wanted = parse_targets(targets, model.labels, model.name)
        self.layers = find_layers(model, layers)
        self.gradients = any("gradients" in entry.facts["needs"] for entry in self.methods)

    def __call__(
        self, pictures: Sequence[Picture], inputs: Sequence[NDArray[np.float32]], views: Sequence[View]
    ) -> list[list[SaliencyMap]]:
        """The maps of each picture: targets × layers × methods, in this order. Inputs are of one shape."""
        batch = torch.from_numpy(np.stack(inputs)).to(self.model.device)
        passed = run_forward(self.model, batch, self.layers, self.gradients, self.precision)
        maps: list[list[SaliencyMap]] = [[] for _ in pictures]
        for number, wanted in enumerate(self.wanted):
            targets = [choose(wanted, row, self.model.labels, self.score, self.model.name) for row in passed.logits]
            last = number == len(self.wanted) - 1
            for layer_method_values in self._values(passed, targets, keep=not last):
                path, method, values, notes, scores = layer_method_values
                for i, target in enumerate(targets):
                    maps[i].append(
                        SaliencyMap(
                            values[i],
                            method,
                            path,
                            target.label,
                            target.index,
                            float(scores[i]),
                            target.probability,
                            self.model.name,
                            views[i],
                            pictures[i],
                            {"note": notes[i]} if notes[i] else {},
                        )
                    )
        return maps

    def _values(
        self, passed: Pass, targets: Sequence[Target], keep: bool
    ) -> list[tuple[str, str, NDArray[np.float32], list[str], list[float]]]:
        """(layer, method, values (n, h, w), notes, scores) for one target per picture."""
        with torch.set_grad_enabled(self.gradients):
            read = [target.read(row) for target, row in zip(targets, passed.logits, strict=True)]
            scores = torch.stack(read)
        grads = passed.backward(scores, keep) if self.gradients else {}
        results = []
        for layer in self.layers:
            probe = Probe(passed, layer, targets, scores.detach(), grads)
            for entry in self.methods:
                with torch.no_grad():
                    values = entry.call(probe).float().cpu().numpy()
                gradients = probe.gradients if self.gradients else [None] * len(values)
                notes = [self._why_blank(one, layer.path, g) for one, g in zip(values, gradients, strict=True)]
                results.append((layer.path, entry.name, values, notes, scores.tolist()))
        return results

    def _why_blank(self, values: Map, path: str, gradient: Tensor | None) -> str:
        """Why a map shows nothing under --sign positive, in one line; "" when it shows something."""
        if not np.isfinite(values).all():
            return f"the map has NaN or infinite values; they arise at or before layer '{path}'"
        if values.max(initial=0) > 0:
            return ""
        if gradient is not None and not bool(gradient.any()):
            live = find_layers(self.model, [])[0].path
            advice = f"--layer {live} has one" if live != path else "is the network untrained, or saturated?"
            return f"blank: the score has no gradient at layer '{path}'; {advice}"
        if values.min(initial=0) < 0:
            return f"blank: all evidence at layer '{path}' speaks against this class; --sign both shows it"
        return f"blank: all values are zero at layer '{path}'"


def explain(
    model: Any,
    images: Any,
    *,
    method: str | Sequence[str] = "gradcam",
    target: str | int | Sequence[str | int] = "top1",
    layer: str | Sequence[str] | None = None,
    score: str = "logit",
    fit: str = "model",
    precision: str = "fp32",
    batch_size: int = 0,
) -> list[SaliencyMap]:
    """Saliency maps of one image or several, in the order pictures × targets × layers × methods.

    `model` is a `Model`, an `nn.Module`, or what `camviz.load` takes; an image is a path, a PIL image, an array
    (H, W, 3) uint8, or a `Picture`. Raises `InputError` for a picture that cannot be read.
    """
    from camviz.engine.devices import default_batch_size
    from camviz.models.load import load
    from camviz.models.preprocess import prepare
    from camviz.pictures import as_pictures

    model = model if isinstance(model, Model) else load(model)
    explainer = Explainer(
        model, _several(layer), _several(method), [str(one) for one in _several(target)], score, precision
    )
    pictures = as_pictures(images)
    prepared = [(picture, *prepare(picture, model.preprocessing, fit)) for picture in pictures]
    size = batch_size or default_batch_size(model.device)
    found: list[SaliencyMap] = []
    for group in by_shape(prepared, size, key=lambda one: one[1].shape):
        pictures_, inputs, views = zip(*group, strict=True)
        found += [one for maps in explainer(pictures_, inputs, views) for one in maps]
    return found


T = TypeVar("T")


def by_shape(items: Iterable[T], size: int, key: Callable[[T], Any]) -> Iterator[list[T]]:
    """Neighbours with the same `key` in groups of at most `size`: they fit into one batch."""
    group: list[T] = []
    for item in items:
        if group and (len(group) == size or key(group[0]) != key(item)):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
