"""Predict the class of images, and explain a wrong prediction: three maps and the smallest region that flips it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError, ModelError
from camviz.tasks.classification import Classification, label_of
from camviz.types import Image, Map, Mark, SaliencyMap, View

if TYPE_CHECKING:
    from torch import Tensor

    from camviz.engine.explain import Explainer

_STEPS, _SUBSTEPS = 40, 8  # the removed share grows in 40 steps; the step that flips the prediction is divided by 8


@dataclass(frozen=True)
class Prediction:
    """The top-1 class of an image with its probability, and the true class with its probability."""

    predicted: int
    probability: float
    true: int
    true_probability: float

    @property
    def correct(self) -> bool:
        """Whether the top-1 class is the true class."""
        return self.predicted == self.true


def predict(explainer: Explainer, inputs: Sequence[NDArray[np.float32]], true: Sequence[int]) -> list[Prediction]:
    """Return the prediction for each input (c, H, W) of a batch; `true` are their class indices."""
    probabilities = _logits(explainer, np.stack(inputs)).softmax(1)
    predictions = []
    for row, index in zip(probabilities, true, strict=True):
        if index >= len(row):
            raise InputError(f"class {index} is out of range: the model has {len(row)} classes", "--labels FILE")
        best = int(row.argmax())
        predictions.append(Prediction(best, float(row[best]), index, float(row[index])))
    return predictions


def check_classifier(explainer: Explainer) -> None:
    """Raise `ModelError` for a model that does not predict exactly one class per image."""
    if not isinstance(explainer.task, Classification):
        task = type(explainer.task).__name__.lower()
        raise ModelError(f"{explainer.model.name} is a {task} model, not a classifier", "--task classification")


def _logits(explainer: Explainer, batch: NDArray[np.float32]) -> Tensor:
    import torch  # a finished run is drawn without it

    from camviz.engine.forward import ForwardRequest, run_forward

    ask = ForwardRequest(explainer.model, (), False, explainer.task, explainer.request.precision)
    rows = run_forward(ask, torch.from_numpy(batch).to(explainer.model.device)).rows
    assert isinstance(rows, torch.Tensor)
    return rows


def explain_error(
    explainer: Explainer,
    image: Image,
    values: NDArray[np.float32],
    view: View,
    prediction: Prediction,
    removal: bool = True,
) -> list[SaliencyMap]:
    """Return the maps of the predicted class, of the true class and of their contrast (predicted vs. true).

    With `removal` the first map has the smallest region whose removal changes the prediction as a mark.
    """
    texts = [str(prediction.predicted), str(prediction.true), f"{prediction.predicted} vs {prediction.true}"]
    wanted = explainer.task.parse(texts)
    [maps] = explainer.maps([image], [values], [view], lambda _passed: wanted)
    if isinstance(maps, InputError):
        raise maps
    step = len(maps) // len(wanted)
    predicted, true, contrast = (maps[number * step] for number in range(len(wanted)))
    if removal:
        predicted = _with_removal(explainer, values, predicted, prediction.predicted)
    sides = zip((predicted, true, contrast), ("predicted", "true", "contrast"), strict=True)
    return [replace(saliency_map, facts={**saliency_map.facts, "side": side}) for saliency_map, side in sides]


def _with_removal(
    explainer: Explainer, values: NDArray[np.float32], saliency_map: SaliencyMap, index: int
) -> SaliencyMap:
    """Mark the smallest region, and note its share of the pixels and the prediction without it."""
    smallest = smallest_region(explainer, values, saliency_map.values, index)
    facts = dict(saliency_map.facts)
    if smallest is None:
        return replace(saliency_map, facts={**facts, "removal": None})
    region, becomes = smallest
    facts["removal"] = {
        "share": round(float(region.mean()), 4),
        "becomes": label_of(becomes, explainer.task.labels),
    }
    return replace(saliency_map, marks=(*saliency_map.marks, Mark(region=region)), facts=facts)


def smallest_region(
    explainer: Explainer, values: NDArray[np.float32], saliency: Map, index: int
) -> tuple[NDArray[np.bool_], int] | None:
    """Return the smallest region (H, W) whose removal changes the prediction, and the new prediction.

    Greedy over the map: the pixels of the input with the largest values are removed first, in steps of half a
    percent (refined to a sixteenth of that). A removed pixel is zero to the model: the mean color of its
    normalization. None if the prediction never changes.
    """
    order = _order(saliency, values.shape[1:])
    low, high = 0.0, 1.0
    becomes: int | None = None
    for steps in (_STEPS, _SUBSTEPS):
        shares = [low + (high - low) * step / steps for step in range(1, steps + 1)]
        change = _first_change(explainer, values, order, shares, index)
        if change is None:
            return None
        number, becomes = change
        low, high = shares[number - 1] if number else low, shares[number]
    assert becomes is not None
    return order < round(high * order.size), becomes


def _order(saliency: Map, size: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the rank of each pixel (H, W) of the input, 0 for the largest value of the map."""
    height, width = size
    view = View((width, height), (0, 0, width, height), (width, height))
    flat = np.nan_to_num(view.place(saliency), nan=-np.inf).ravel()
    ranks = np.empty(flat.size, np.intp)
    ranks[np.argsort(-flat, kind="stable")] = np.arange(flat.size)
    return ranks.reshape(height, width)


def _first_change(
    explainer: Explainer, values: NDArray[np.float32], order: NDArray[np.intp], shares: Sequence[float], index: int
) -> tuple[int, int] | None:
    """Return the number of the first share whose removal changes the prediction from `index`, and the new one."""
    size = explainer.ask.chunks.size
    for start in range(0, len(shares), size):
        removed = np.stack([order < round(share * order.size) for share in shares[start : start + size]])
        batch = np.where(removed[:, None], np.float32(0), values[None])
        for number, best in enumerate(_logits(explainer, batch).argmax(1).tolist()):
            if best != index:
                return start + number, best
    return None
