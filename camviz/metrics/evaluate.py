"""`evaluate`: how faithful are these maps? Images in, an `Evaluation` out."""

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
from camviz.metrics.results import Evaluation, Row
from camviz.metrics.source import Asked, Source, Unanswered
from camviz.types import Image, Model, View

if TYPE_CHECKING:
    from camviz.engine.explain import Explainer

Marked = Callable[[Image, str], Mask | None]  # what a target's label means in an image
FEWEST = 4
SATURATED = 0.5  # of the score without any pixel: a curve from there shows little


class Evaluator:
    """Measures batch by batch what a job's methods give, and remembers the rows."""

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
        if any(one.entry.facts["needs"] == "truth" and not one.optional for one in measures) and marked is None:
            raise RequestError("localization needs to know where things are", "--boxes FILE or --masks FOLDER")
        self.measures = [one for one in measures if marked is not None or one.entry.facts["needs"] != "truth"]
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
        """Measure a batch; yields the number of each image that is done, or what is wrong with it."""
        failed: dict[int, InputError] = {}
        for asked in self.source(inputs, views):
            if isinstance(asked, Unanswered):
                if not any(row.image == names[asked.image] for row in self.rows):
                    failed[asked.image] = asked.error
                continue
            if asked.image in failed:
                continue
            try:
                self.rows += self._measure(asked, images[asked.image], names[asked.image])
            except InputError as error:
                failed[asked.image] = error
        if failed:
            self.rows = [row for row in self.rows if row.image not in {names[number] for number in failed}]
        for number in range(len(images)):
            yield number, failed.get(number)

    def _measure(self, asked: Asked, image: Image, name: str) -> list[Row]:
        case = asked.case
        if self.marked:
            case.truth = self.marked(image, asked.target.label)
            self._without += case.seen_truth is None
        self._cases += 1
        values = {measure.name: measure(case) for measure in self.measures}
        for metric, share in case.left.items():
            self._left.setdefault(metric, []).append(share)
        return [
            Row(name, asked.target.label, *one, {metric: numbers[k] for metric, numbers in values.items()})
            for k, one in enumerate(asked.names)
        ]

    @property
    def found(self) -> tuple[Any, ...]:
        """All that was measured so far, as plain values: for `absorb` of another."""
        return self.rows, self._left, self._without, self._cases

    def absorb(self, found: tuple[Any, ...]) -> None:
        """Take in what another evaluator of the same job has found."""
        rows, left, without, cases = found
        self.rows += rows
        for metric, shares in left.items():
            self._left.setdefault(metric, []).extend(shares)
        self._without += without
        self._cases += cases

    def result(self) -> Evaluation:
        """What was measured so far."""
        notes = [f"skipped: {name}: {why}" for name, why in self.explainer.skipped.items()]
        for metric, shares in self._left.items():
            if np.mean(shares) > SATURATED:
                setting = "insertion.start" if metric == "insertion" else "deletion.end"
                notes.append(
                    f"{metric} says little here: an image without any of its pixels keeps {np.mean(shares):.0%} "
                    f"of its score; --set {setting}=black (or mean, white, blur) takes more away"
                )
        if self._without:
            notes.append(
                f"{self._without} of {self._cases} targets are not marked in their image, or not where the model "
                "looked: without localization; --match any counts whatever is marked"
            )
        job = self.explainer.job
        return Evaluation(self.explainer.model.name, self.measures, self.rows, self.resamples, job.seed, notes)


def read_truth(boxes: Path | None, masks: Path | None, value: str = "", match: str = "label") -> Truth | None:
    """What --boxes or --masks name; None without either."""
    if boxes and masks:
        raise RequestError("--boxes and --masks both say where things are", "one of them")
    if value and not masks:
        raise RequestError(f"--mask-value '{value}' without masks", "--masks FOLDER")
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
    """How faithful the maps of methods and layers are, on average over images; prints as tables.

    Arguments as in `camviz.explain`. `metric`: names or families; `boxes` and `masks`: files and folders as on the
    command line; `truth`: instead of them, one mask (H, W) per image, None where there is none. `forwards` per map
    and metric at most; `settings` of metrics as {"pointing.tolerance": 15}.
    """
    from camviz.engine.batches import by_shape
    from camviz.engine.explain import Explainer, as_list, job_of
    from camviz.hooks.devices import default_batch_size
    from camviz.io.images import as_images
    from camviz.models.load import load
    from camviz.models.preprocess import prepare

    model = model if isinstance(model, Model) else load(model)
    question = job_of(method, target, layer, settings, fit=fit, **job)
    own, measured = split_settings(question.settings)
    images = as_images(images)
    known = read_truth(Path(boxes) if boxes else None, Path(masks) if masks else None, mask_value, match)
    marked = known.mask if known else _given(images, truth) if truth is not None else None
    explainer = Explainer(model, replace(question, settings=tuple(own)))
    evaluator = Evaluator(explainer, choose(as_list(metric), measured), marked, forwards, resamples)
    names = _distinct([image.name for image in images])
    prepared = [(p, name, *prepare(p, model.preprocessing, fit)) for p, name in zip(images, names, strict=True)]
    size = explainer.job.batch_size or default_batch_size(model.device)
    for group in by_shape(prepared, size, key=lambda one: one[2].shape):
        batch, own_names, inputs, views = zip(*group, strict=True)
        for _, error in evaluator(batch, inputs, views, own_names):
            if error:
                raise error
    return evaluator.result()


def _given(images: Sequence[Image], truth: Sequence[NDArray[np.bool_] | None]) -> Marked:
    if len(truth) != len(images):
        raise RequestError(f"{len(truth)} masks for {len(images)} images", "one for each; None where there is none")
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
    """Images from Python have no names, and two files may share one: a number tells them apart."""
    many = len(set(names)) < len(names)
    return [f"{number} {name}" if many else name for number, name in enumerate(names)]
