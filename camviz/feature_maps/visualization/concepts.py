"""Concepts of a class: patterns of activation that crops of images share, and how much of the score depends on them.

After CRAFT (Fel et al. 2023, arXiv:2211.10154): a non-negative factorization of the activations of crops. Importance is
the drop of the score when a concept's part is deleted from the activations of a whole image; what no concept explains
stays in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from camviz.engine.cells import CellAreas
from camviz.engine.forward import MASKS_AT_ONCE, ForwardPass, ForwardRequest, run_forward
from camviz.engine.probe import Probe, Reading
from camviz.engine.tail_replay import finished_before
from camviz.errors import InputError, ModelError, RequestError
from camviz.hooks.chunks import Chunks
from camviz.methods.factorization import coefficients, factorize
from camviz.models.layers import find_layers
from camviz.models.outputs import understand
from camviz.models.survey import survey
from camviz.tasks import task_of
from camviz.types import Model, Request, Target, View

CROPS = 4  # along each side of the input
_SHARE = 0.3  # the side of a crop, of the input's
_ROWS = 4096  # crops that are factorized, at most
_STEPS = 200
_RESAMPLES = 1000

Values = NDArray[np.float32]


def windows(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Return the crops of an input, row by row, as (left, top, right, bottom); together they cover it."""
    high, wide = (max(1, round(_SHARE * side)) for side in (height, width))
    tops, lefts = (np.linspace(0, end, CROPS).round().astype(int).tolist() for end in (height - high, width - wide))
    return [(left, top, left + wide, top + high) for top in tops for left in lefts]


@dataclass(frozen=True, eq=False)
class Bank:
    """The concepts (k, channels), of length 1, and the `weights` (images, CROPS², k) of all crops.

    `matches`: the cosine similarity of the concepts that stand for each one in two halves of the images, NaN for a
    single image. `apart`: the mean cosine similarity of different concepts.
    """

    concepts: Values
    weights: Values
    matches: NDArray[np.float64]
    apart: float


def find_bank(crops: Sequence[Values], count: int, layer: str = "") -> Bank:
    """Factorize the activations of the crops (CROPS², channels) of each image into at most `count` concepts."""
    concepts = _concepts(crops, count)
    if not len(concepts):
        raise ModelError(f"layer '{layer}' has no positive activation in any image", "--layer chooses another")
    rows = torch.from_numpy(np.concatenate(crops))[None]
    weights = coefficients(rows, torch.from_numpy(concepts)).reshape(len(crops), -1, len(concepts)).numpy()
    matches = np.full(len(concepts), np.nan)
    if len(crops) > 1:
        first, second = (_concepts(half, count) for half in (crops[::2], crops[1::2]))
        pairs = zip(assign(concepts @ first.T), assign(concepts @ second.T), strict=True)
        matches = np.array([0.0 if i is None or j is None else float(first[i] @ second[j]) for i, j in pairs])
    others = (concepts @ concepts.T)[~np.eye(len(concepts), dtype=bool)]
    return Bank(concepts, weights, matches, float(others.mean()) if others.size else 0.0)


def _concepts(crops: Sequence[Values], count: int) -> Values:
    rows = np.concatenate(crops)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _ROWS)).round().astype(int)]
    weights, features = (part[0].numpy() for part in factorize(torch.from_numpy(rows)[None], count, _STEPS))
    lengths = np.linalg.norm(features, axis=1)
    sizes = np.linalg.norm(weights, axis=0) * lengths
    kept = sizes > 1e-4 * max(sizes.max(initial=0.0), 1e-12)  # others are rounding
    return np.asarray(features[kept] / lengths[kept, None], np.float32)


def assign(similarity: Values) -> list[int | None]:
    """Return the column that each row is paired with, the most similar pair first; None where columns run out."""
    left = similarity.astype(np.float64)
    pairs: list[int | None] = [None] * len(similarity)
    for _ in range(min(similarity.shape)):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        pairs[row], left[row], left[:, column] = int(column), -np.inf, -np.inf
    return pairs


@dataclass(frozen=True, eq=False)
class ImageConcepts:
    """The concepts of one image: maps (k, h, w), and the drops (k + 1,) of the score without each and without all.

    `explained`: the share of the positive activations' energy in the concepts. `view` places the maps.
    """

    target: Target
    maps: Values = field(repr=False)
    drops: NDArray[np.float64]
    explained: float
    view: View


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean over images; NaN for a single one."""
    if len(values) < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.percentile(np.asarray(values)[drawn].mean(1), [2.5, 97.5])
    return float(low), float(high)


class ConceptFinder:
    """Measure the concepts of one layer for one class: the target, or the class that is predicted most often."""

    def __init__(self, model: Model, request: Request) -> None:
        model, seen = understand(model, survey(model.module, model.preprocessing.crop, model.name))
        self.model, self.task = model, task_of(model, seen.output, request.targets, score=request.score)
        if self.task.placed or model.preprocessing.frames > 1:
            raise ModelError(
                f"concepts explain one score of the whole image, and {model.name} has several",
                "--model with a classifier; 'camviz heatmap --method dff' factorizes one image at a time",
            )
        specs = self.task.parse(request.targets or [self.task.default])
        if len(specs) > 1:
            raise RequestError(f"{len(specs)} targets: concepts are of one class", f"--target {specs[0].facet}")
        self.task.check(specs, seen.output)
        self.wanted, self.chosen = specs[0], bool(request.targets)
        layers = find_layers(model, request.layers, seen)
        if len(layers) > 1:
            raise RequestError(f"{len(layers)} layers: concepts are of one layer", f"--layer {layers[0].path}")
        self.layer, self.cells = layers[0], CellAreas(model, seen)
        self.ask = ForwardRequest(
            model,
            (self.layer,),
            gradients=False,
            task=self.task,
            precision=request.precision,
            chunks=Chunks(request.batch_size or MASKS_AT_ONCE),
            frozen={self.layer.path: finished_before(seen, self.layer.path)},
        )

    def crops(self, inputs: Sequence[Values], views: Sequence[View]) -> list[tuple[Values, int | None]]:
        """Return for each input (c, H, W) the mean positive activations of its crops, and the predicted class.

        They are (CROPS², channels); each crop is enlarged to the input's size.
        """
        batch = torch.from_numpy(np.stack(inputs)).to(self.model.device)
        height, width = batch.shape[2:]
        ask, pooled = replace(self.ask, frozen={}), []
        for left, top, right, bottom in windows(height, width):
            crop = F.interpolate(batch[..., top:bottom, left:right], (height, width), mode="bilinear")
            pooled.append(self._rows(run_forward(ask, crop)).mean(1))
        indices = map(self._predicted, run_forward(ask, batch).rows, views)
        return list(zip(torch.stack(pooled, 1).cpu().numpy(), indices, strict=True))

    def _predicted(self, row: Any, view: View) -> int | None:
        with suppress(InputError):  # nothing is predicted
            return self.task.choose(self.task.parse([self.task.default])[0], row, view)[0].index
        return None

    def choose(self, predicted: Sequence[int | None]) -> list[int]:
        """Return the numbers of the images that are predicted as the target; all of them where none is.

        Without a target it becomes the class that is predicted most often, of equal ones the first.
        """
        known = [index for index in predicted if index is not None]
        if known and not self.chosen:
            self.wanted = self.task.parse([str(max(sorted(set(known)), key=known.count))])[0]
        index = getattr(self.wanted, "index", None)
        of_class = [number for number, each in enumerate(predicted) if index is not None and each == index]
        return of_class or list(range(len(predicted)))

    def measure(
        self, inputs: Sequence[Values], views: Sequence[View], concepts: Values
    ) -> list[ImageConcepts | InputError]:
        """Return the maps of concepts (k, channels) in each input, and how much its score falls without them."""
        passed = run_forward(self.ask, torch.from_numpy(np.stack(inputs)).to(self.model.device))
        targets = self._targets(passed, views)
        probe = Probe(Reading(passed, targets), self.layer)
        rows, features = self._rows(passed), torch.from_numpy(concepts).to(self.model.device)
        weights = coefficients(rows, features)
        shape = probe.activations.shape[2:]
        area = self.cells.of([probe], tuple(shape))
        results: list[ImageConcepts | InputError] = []
        for i, (target, view) in enumerate(zip(targets, views, strict=True)):
            if not bool(torch.isfinite(probe.activations[i]).all()):
                results.append(InputError("the activations have NaN or infinite values", "--precision fp32"))
                continue
            left = (rows[i] - weights[i] @ features).square().sum() / rows[i].square().sum().clamp(min=1e-12)
            results.append(
                ImageConcepts(
                    target,
                    weights[i].T.reshape(-1, *shape).cpu().numpy(),
                    self._drops(probe, i, rows[i], weights[i], features),
                    max(0.0, 1 - float(left)),
                    replace(view, cells=area or view.cells),
                )
            )
        return results

    def _drops(self, probe: Probe, image: int, rows: Tensor, weights: Tensor, features: Tensor) -> NDArray[np.float64]:
        negative, count = probe.activations[image].clamp(max=0), len(features)

        def alter(start: int, stop: int) -> Tensor:
            deleted = [
                weights[:, k, None] * features[k] if k < count else weights @ features for k in range(start, stop)
            ]
            left = (rows - torch.stack(deleted)).clamp(min=0)
            return left.mT.reshape(-1, *negative.shape) + negative

        scores = probe.score_activations(image, count + 1, alter)
        return np.asarray((probe.scores[image] - scores).double().cpu().numpy())

    def _targets(self, passed: ForwardPass, views: Sequence[View]) -> list[Target]:
        return [self.task.choose(self.wanted, row, view)[0] for row, view in zip(passed.rows, views, strict=True)]

    def _rows(self, passed: ForwardPass) -> Tensor:
        """Return the positive activations as rows (n, positions, channels)."""
        probe = Probe(Reading(passed, []), self.layer, [{} for _ in passed.inputs])
        return probe.activations.nan_to_num().clamp(min=0).flatten(2).mT
