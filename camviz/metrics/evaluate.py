"""`evaluate`: measure the maps of methods and layers over images; returns an `Evaluation`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, get_args

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError, RequestError
from camviz.metrics import Measure, choose, split_settings
from camviz.metrics.ground_truth import Mask, Match, Truth, read_boxes, read_masks
from camviz.metrics.measured import Measured
from camviz.metrics.results import Evaluation
from camviz.metrics.source import ImageCase, ImageError, Source
from camviz.metrics.statistics import Row
from camviz.types import Image, Model, View

if TYPE_CHECKING:
    from camviz.engine.arguments import Options
    from camviz.engine.explain import Explainer

Marked = Callable[[Image, str], Mask | None]  # (image, target's label) -> the target's pixels, None if unknown
FEWEST = 4
SATURATED = 0.5  # fraction of the score that remains without any pixel: a curve from there shows little


class Evaluator:
    """Measures the maps of a job, batch by batch. `truth`: the ground truth of an image for a target's label."""

    def __init__(
        self,
        explainer: Explainer,
        measures: Sequence[Measure],
        truth: Truth | Marked | None = None,
        forwards: int = 32,
    ) -> None:
        if forwards < FEWEST:
            raise RequestError(f"{forwards} forwards are too few for a curve", f"--forwards {FEWEST} or more")
        self.measures = with_truth(measures, truth is not None)
        self.explainer, self.marked = explainer, truth.mask if isinstance(truth, Truth) else truth
        self.source = Source(explainer.model, explainer, forwards)

    def __call__(
        self,
        images: Sequence[Image],
        inputs: Sequence[NDArray[np.float32]],
        views: Sequence[View],
        names: Sequence[str],
    ) -> list[Measured | InputError]:
        """Measure a batch; return for each image its rows, or its error."""
        from camviz.models.extra_inputs import inputs_of

        with inputs_of(self.explainer.model, images, self.explainer.request.fit):
            return self._measured(images, self.source(inputs, views), names)

    def _measured(
        self, images: Sequence[Image], cases: Iterable[ImageCase | ImageError], names: Sequence[str]
    ) -> list[Measured | InputError]:
        measured = [Measured([]) for _ in images]
        errors: dict[int, InputError] = {}
        for item in cases:
            if isinstance(item, ImageError):
                if not measured[item.image].rows:
                    errors[item.image] = item.error
            elif item.image not in errors:
                try:
                    measured[item.image] = self._measure(item, images[item.image], names[item.image], measured)
                except InputError as error:
                    errors[item.image] = error
        return [errors.get(number, rows) for number, rows in enumerate(measured)]

    def _measure(self, item: ImageCase, image: Image, name: str, measured: Sequence[Measured]) -> Measured:
        """Return the rows of an image with those of one more target."""
        case, before = item.case, measured[item.image]
        if self.marked:
            case.truth = self.marked(image, item.target.label)
        values = {measure.name: measure(case) for measure in self.measures}
        rows = [
            Row(name, item.target.label, *map_name, {metric: numbers[k] for metric, numbers in values.items()})
            for k, map_name in enumerate(item.names)
        ]
        left = {metric: [*before.left.get(metric, ()), share] for metric, share in case.left.items()}
        without = before.without_truth + (self.marked is not None and case.seen_truth is None)
        return Measured([*before.rows, *rows], {**before.left, **left}, before.cases + 1, without)


def with_truth(measures: Sequence[Measure], known: bool) -> list[Measure]:
    """Return the metrics that can be measured: without ground truth those that need it are left out.

    Raises `RequestError` for one that was chosen by its name.
    """
    localizing = [measure for measure in measures if measure.entry.facts["needs"] == "truth"]
    if not known and any(not measure.optional for measure in localizing):
        raise RequestError("localization metrics need ground truth", "--boxes FILE or --masks FOLDER")
    return [measure for measure in measures if known or measure not in localizing]


def evaluation_of(
    measured: Sequence[Measured],
    measures: Sequence[Measure],
    model: str,
    resamples: int = 1000,
    seed: int = 0,
    skipped: Mapping[str, str] | None = None,
) -> Evaluation:
    """Return the evaluation of all images. `skipped`: methods that the model cannot run, and why."""
    notes = [f"skipped: {name}: {why}" for name, why in (skipped or {}).items()]
    shares: dict[str, list[float]] = {}
    for each in measured:
        for metric, left in each.left.items():
            shares.setdefault(metric, []).extend(left)
    for metric, left in shares.items():
        if np.mean(left) > SATURATED:
            setting = "insertion.start" if metric == "insertion" else "deletion.end"
            notes.append(
                f"{metric} is not informative here: without any of its pixels an image keeps "
                f"{np.mean(left):.0%} of its score; try --set {setting}=black (or mean, white, blur)"
            )
    without, cases = sum(each.without_truth for each in measured), sum(each.cases for each in measured)
    if without:
        notes.append(
            f"{without} of {cases} targets have no ground truth inside the model's view and no "
            "localization values; --match any uses every marked object"
        )
    rows = [row for each in measured for row in each.rows]
    return Evaluation(model, list(measures), rows, resamples, seed, notes)


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
    layer: Any = (),
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
    normalized: bool = False,
    **options: Unpack[Options],
) -> Evaluation:
    """Measure how faithful the maps of methods and layers are, on average over images; prints as tables.

    Arguments as in `camviz.explain`. `metric`: names or families. `boxes` and `masks`: files and folders as on the
    command line. `truth`: instead of them, one mask (H, W) per image, None where unknown. `forwards`: the most per map
    and metric. `settings`: of metrics, as {"pointing.tolerance": 15}.
    """
    from camviz.engine.arguments import as_list, layer_names, prepared_images, request_of
    from camviz.engine.batches import by_shape
    from camviz.engine.explain import Explainer
    from camviz.models.extra_inputs import batch_size
    from camviz.models.load import load

    model = model if isinstance(model, Model) else load(model)
    request = request_of(method, target, layer_names(layer, model), settings, fit=fit, **options)
    method_settings, metric_settings = split_settings(request.settings)
    ready = list(prepared_images(images, model.preprocessing, fit, normalized))
    images = [image for image, _, _ in ready]
    known = read_truth(Path(boxes) if boxes else None, Path(masks) if masks else None, mask_value, match)
    marked = known.mask if known else _from_masks(images, truth) if truth is not None else None
    explainer = Explainer(model, replace(request, settings=tuple(method_settings)))
    evaluator = Evaluator(explainer, choose(as_list(metric), metric_settings), marked, forwards)
    measured: list[Measured] = []
    names = _distinct([image.name for image in images])
    prepared = [(image, name, values, view) for (image, values, view), name in zip(ready, names, strict=True)]
    size = batch_size(model, explainer.request.batch_size)
    for group in by_shape(prepared, size, key=lambda item: item[2].shape):
        batch, batch_names, inputs, views = zip(*group, strict=True)
        measured += _raising(evaluator(batch, inputs, views, batch_names))
    return evaluation_of(measured, evaluator.measures, model.name, resamples, request.seed, explainer.skipped)


def _raising(results: Sequence[Measured | InputError]) -> Iterator[Measured]:
    """Yield the results, or raise the first error."""
    for result in results:
        if isinstance(result, InputError):
            raise result
        yield result


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
