"""`evaluate`: measure the maps of methods and layers over images; returns an `Evaluation`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError, RequestError
from camviz.metrics import Measure, choose, split_settings
from camviz.metrics.ground_truth import Mask, Match, Truth, read_boxes, read_masks
from camviz.metrics.results import Evaluation
from camviz.metrics.source import ImageCase, ImageError, Source
from camviz.metrics.statistics import Row
from camviz.types import Image, Model, View

if TYPE_CHECKING:
    from camviz.engine.explain import Explainer

Marked = Callable[[Image, str], Mask | None]  # (image, target's label) -> the target's pixels, None if unknown
FEWEST = 4
SATURATED = 0.5  # fraction of the score that remains without any pixel: a curve from there shows little


class Evaluator:
    """Measures the maps of a job batch by batch and collects the rows."""

    def __init__(
        self,
        explainer: Explainer,
        measures: Sequence[Measure],
        marked: Marked | None = None,
        forwards: int = 32,
        resamples: int = 1000,
    ) -> None:
        if forwards < FEWEST:
            raise RequestError(f"{forwards} forwards are too few for a curve", f"--forwards {FEWEST} or more")
        localizing = [measure for measure in measures if measure.entry.facts["needs"] == "truth"]
        if any(not measure.optional for measure in localizing) and marked is None:
            raise RequestError("localization metrics need ground truth", "--boxes FILE or --masks FOLDER")
        self.measures = [measure for measure in measures if marked is not None or measure not in localizing]
        self.explainer, self.marked, self.resamples = explainer, marked, resamples
        self.source = Source(explainer.model, explainer, forwards)
        self.rows: list[Row] = []
        self._left: dict[str, list[float]] = {}
        self._without = 0
        self._cases = 0

    def __call__(
        self,
        images: Sequence[Image],
        inputs: Sequence[NDArray[np.float32]],
        views: Sequence[View],
        names: Sequence[str],
    ) -> Iterator[tuple[int, InputError | None]]:
        """Measure a batch; yield the number of each image, with its error if it failed."""
        failed: dict[int, InputError] = {}
        for item in self.source(inputs, views):
            if isinstance(item, ImageError):
                if not any(row.image == names[item.image] for row in self.rows):
                    failed[item.image] = item.error
                continue
            if item.image in failed:
                continue
            try:
                self.rows += self._measure(item, images[item.image], names[item.image])
            except InputError as error:
                failed[item.image] = error
        if failed:
            self.rows = [row for row in self.rows if row.image not in {names[number] for number in failed}]
        for number in range(len(images)):
            yield number, failed.get(number)

    def _measure(self, item: ImageCase, image: Image, name: str) -> list[Row]:
        case = item.case
        if self.marked:
            case.truth = self.marked(image, item.target.label)
            self._without += case.seen_truth is None
        self._cases += 1
        values = {measure.name: measure(case) for measure in self.measures}
        for metric, share in case.left.items():
            self._left.setdefault(metric, []).append(share)
        return [
            Row(name, item.target.label, *map_name, {metric: numbers[k] for metric, numbers in values.items()})
            for k, map_name in enumerate(item.names)
        ]

    @property
    def found(self) -> tuple[Any, ...]:
        """Everything measured so far, as plain values, for `absorb` of another evaluator."""
        return self.rows, self._left, self._without, self._cases

    def absorb(self, measured: tuple[Any, ...]) -> None:
        """Add everything that another evaluator of the same job measured."""
        rows, left, without, cases = measured
        self.rows += rows
        for metric, shares in left.items():
            self._left.setdefault(metric, []).extend(shares)
        self._without += without
        self._cases += cases

    def result(self) -> Evaluation:
        """Return the evaluation of everything measured so far."""
        notes = [f"skipped: {name}: {why}" for name, why in self.explainer.skipped.items()]
        for metric, shares in self._left.items():
            if np.mean(shares) > SATURATED:
                setting = "insertion.start" if metric == "insertion" else "deletion.end"
                notes.append(
                    f"{metric} is not informative here: without any of its pixels an image keeps "
                    f"{np.mean(shares):.0%} of its score; try --set {setting}=black (or mean, white, blur)"
                )
        if self._without:
            notes.append(
                f"{self._without} of {self._cases} targets have no ground truth inside the model's view and no "
                "localization values; --match any uses every marked object"
            )
        job = self.explainer.job
        return Evaluation(self.explainer.model.name, self.measures, self.rows, self.resamples, job.seed, notes)


def read_truth(boxes: Path | None, masks: Path | None, value: str = "", match: str = "label") -> Truth | None:
    """Read the ground truth of --boxes or --masks; None without either."""
    if boxes and masks:
        raise RequestError("both --boxes and --masks are set", "leave one of them out")
    if value and not masks:
        raise RequestError(f"--mask-value '{value}' needs masks", "--masks FOLDER")
    if match not in get_args(Match):
        raise RequestError(f"no match '{match}'", f"one of: {', '.join(get_args(Match))}")
    if masks:
        return read_masks(masks, value, match)
    return read_boxes(boxes, match) if boxes else None


def evaluate(
    model: Any,
    images: Any,
    *,
    method: str | Sequence[str] = (),
    target: str | int | Sequence[str | int] = (),
    layer: str | Sequence[str] = (),
    metric: str | Sequence[str] = "all",
    boxes: str | Path | None = None,
    masks: str | Path | None = None,
    truth: Sequence[NDArray[np.bool_] | None] | None = None,
    mask_value: str = "",
    match: str = "label",
    forwards: int = 32,
    resamples: int = 1000,
    settings: dict[str, Any] | None = None,
    fit: str = "model",
    **job: Any,
) -> Evaluation:
    """Measure how faithful the maps of methods and layers are, on average over images; prints as tables.

    Arguments as in `camviz.explain`. `metric`: names or families. `boxes` and `masks`: files and folders as on the
    command line. `truth`: instead of them, one mask (H, W) per image, None where unknown. `forwards`: the most per map
    and metric. `settings`: of metrics, as {"pointing.tolerance": 15}.
    """
    from camviz.engine.batches import by_shape
    from camviz.engine.explain import Explainer, as_list, job_of
    from camviz.hooks.devices import default_batch_size
    from camviz.io.images import as_images
    from camviz.models.load import load
    from camviz.models.preprocess import prepare

    model = model if isinstance(model, Model) else load(model)
    request = job_of(method, target, layer, settings, fit=fit, **job)
    method_settings, metric_settings = split_settings(request.settings)
    images = as_images(images)
    known = read_truth(Path(boxes) if boxes else None, Path(masks) if masks else None, mask_value, match)
    marked = known.mask if known else _from_masks(images, truth) if truth is not None else None
    explainer = Explainer(model, replace(request, settings=tuple(method_settings)))
    evaluator = Evaluator(explainer, choose(as_list(metric), metric_settings), marked, forwards, resamples)
    names = _distinct([image.name for image in images])
    prepared = [(p, name, *prepare(p, model.preprocessing, fit)) for p, name in zip(images, names, strict=True)]
    size = explainer.job.batch_size or default_batch_size(model.device)
    for group in by_shape(prepared, size, key=lambda item: item[2].shape):
        batch, batch_names, inputs, views = zip(*group, strict=True)
        for _, error in evaluator(batch, inputs, views, batch_names):
            if error:
                raise error
    return evaluator.result()


def _from_masks(images: Sequence[Image], truth: Sequence[NDArray[np.bool_] | None]) -> Marked:
    if len(truth) != len(images):
        raise RequestError(f"{len(truth)} masks for {len(images)} images", "pass one mask or None per image")
    known = {id(image): mask for image, mask in zip(images, truth, strict=True)}
    for image, mask in zip(images, truth, strict=True):
        if mask is not None and mask.shape != (image.height, image.width):
            raise RequestError(
                f"a mask of {mask.shape} for an image of {(image.height, image.width)}",
                "masks are (height, width)",
            )

    def find(image: Image, _target: str) -> Mask | None:
        mask = known[id(image)]
        return None if mask is None else np.asarray(mask, bool)

    return find


def _distinct(names: Sequence[str]) -> list[str]:
    """Number the names if two are equal: arrays have no name, and files may share one."""
    many = len(set(names)) < len(names)
    return [f"{number} {name}" if many else name for number, name in enumerate(names)]
