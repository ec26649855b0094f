"""Detection and instance segmentation: boxes, each with a class and a score. One map per detection."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from camviz import tasks
from camviz.errors import ModelError, NothingFound, RequestError, first_of
from camviz.tasks import TASKS, Task, box_outputs
from camviz.tasks.boxes import Detections, closest, similarity
from camviz.tasks.classification import distinct, find_class, label_of, slug
from camviz.tasks.outputs import NO_ENDING, Ending
from camviz.types import Mark, Target, View

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST = 20  # detections per image that --target all, or a class, explains
_LOWEST = 0.05  # a score threshold of the model is lowered to this: a partly covered object must stay detected


@dataclass(frozen=True)
class TargetSpec(tasks.TargetSpec):
    """The detection `number` (0 is the most confident), all of the class `index`, or all.

    `part` is what of it is explained: "" its class score, "mask" the mask, "keypoint" the key point `point`.
    """

    number: int | None = None
    index: int | None = None
    part: str = ""
    point: int = 0


@TASKS.add("detection")
@dataclass(frozen=True)
class Detection(Task):
    """Boxes with a class and a score: `box:0` is the most confident; `all`, or a class, those of --min-score and more.

    A detection's score is its probability; with --score logit the log of its odds. On an altered image it is the
    largest IoU x score among the detections of its class (D-RISE, arXiv:2006.03204), 0 where there is none.
    """

    default: ClassVar[str] = "box:0"
    method: ClassVar[str] = "hirescam"  # Grad-CAM averages gradients over the image: no position
    prefixes: ClassVar[tuple[str, ...]] = ("box:",)
    placed: ClassVar[bool] = True

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str], ending: Ending) -> bool:
        return box_outputs.looks_like_boxes(output, len(labels))

    @staticmethod
    def structured(output: Any) -> bool:
        return box_outputs.structured(output)

    def parse(self, texts: Sequence[str]) -> list[TargetSpec]:
        targets: list[TargetSpec] = []
        for text in (text.strip() for text in texts):
            targets += [target for target in self._parse(text) if target not in targets]
        if any(target.facet == "box" for target in targets):  # `all` includes every numbered box
            targets = [target for target in targets if target.number is None or target.part]
        return distinct(targets)

    def _parse(self, text: str) -> list[TargetSpec]:
        name, at, part = text.rpartition("@")
        if at and (found := re.fullmatch(r"(mask)|(keypoint):(\d+)", part)):
            facet = found[1] or f"keypoint{found[3]}"
            kind, point = found[1] or found[2], int(found[3] or 0)
            return [
                replace(target, facet=f"{target.facet.rstrip('-')}-{facet}", part=kind, point=point)
                for target in self._parse(name)
            ]
        if text.casefold() == "all":
            return [TargetSpec("box", several=True)]
        if top := re.fullmatch(r"top-?(\d+)", text, re.IGNORECASE):
            return [TargetSpec(f"box{number}", number=number) for number in range(min(int(top[1]), MOST))]
        if box := re.fullmatch(r"box:?\s*(\d+)", text, re.IGNORECASE):
            return [TargetSpec(f"box{int(box[1])}", number=int(box[1]))]
        if text.startswith("box:") or not text:
            raise RequestError(
                f"no target '{text}': it names no detection",
                "--target box:0 (the most confident), box:0@mask, box:0@keypoint:3, all, or a class name",
            )
        if "," in text and text.casefold() not in (label.casefold() for label in self.labels):
            return [target for part in text.split(",") if part.strip() for target in self._parse(part.strip())]
        return [TargetSpec(f"{slug(text)}-", index=find_class(text, self.labels, self.name), several=True)]

    def check(self, specs: Sequence[tasks.TargetSpec], output: Any) -> None:
        if not self.recognizes(output, self.labels, NO_ENDING):
            self.rows(output, 1)  # raises and describes the output

    def rows(self, output: Any, count: int) -> list[Detections]:
        rows = box_outputs.read(output, len(self.labels))
        if len(rows) != count:
            raise ModelError(
                f"the output of {self.name} for {count} image(s) is {tasks.described(output)}, "
                "not boxes with scores and labels",
                f"--task sets the task: {', '.join(TASKS.names())}",
            )
        return rows

    def choose(self, spec: tasks.TargetSpec, row: Detections, view: View) -> list[Target]:
        assert isinstance(spec, TargetSpec)
        scores, order = row.scores.detach(), row.order()
        numbered = [(number, i) for number, i in enumerate(order) if scores[i] >= self.min_score]
        if spec.number is not None:
            found = numbered[spec.number : spec.number + 1]
        else:
            found = [(n, i) for n, i in numbered if spec.index in (None, int(row.labels[i]))]
        if not found:
            raise self._nothing(spec, row, order, len(numbered))
        return [self._target(spec, row, i, number, view, len(found)) for number, i in found[:MOST]]

    def _nothing(self, spec: TargetSpec, row: Detections, order: Sequence[int], enough: int) -> NothingFound:
        """Return the error for an image without a matching detection."""
        scores = row.scores.detach()
        if enough and spec.number is not None:
            return NothingFound(
                f"{self._some(enough)}, so there is no box {spec.number}",
                f"--target box:{enough - 1} is the last; --min-score sets a lower threshold",
            )
        what = "detection" if spec.index is None else f"'{label_of(spec.index, self.labels)}'"
        near = [i for i in order if spec.index in (None, int(row.labels[i]))]
        shown = [f"{label_of(int(row.labels[i]), self.labels)} {float(scores[i]):.2g}" for i in order]
        if not near:
            detected = f" (detected: {first_of(shown[:enough], 4)})" if enough else ""
            hint = "--target box:0 takes the most confident" if enough else "--min-score sets a lower threshold"
            return NothingFound(f"no {what} ≥ {self.min_score:g}{detected}", hint)
        best = float(scores[near[0]])
        return NothingFound(
            f"no {what} ≥ {self.min_score:g} (best: {shown[order.index(near[0])]})",
            f"--min-score {math.floor(best * 100) / 100:g}" if best >= 0.01 else f"--min-score {_floor(best):g}",
        )

    def _some(self, count: int) -> str:
        return f"{count} detection{'s'[: count != 1]} of at least {self.min_score:g}"

    def _target(self, spec: TargetSpec, row: Detections, i: int, number: int, view: View, count: int) -> Target:
        index, score = int(row.labels[i]), float(row.scores[i].detach())
        name = label_of(index, self.labels)
        box = row.boxes[i].detach()
        width, height = (1, 1) if row.shares else view.size
        left, top, right, bottom = (value / side for value, side in zip(box.tolist(), (width, height) * 2, strict=True))
        shape = Mark(f"{name} {score:.0%}", box=(left, top, right, bottom))
        if row.corners is not None:
            turned = row.corners[i].detach() / row.corners.new_tensor([width, height])
            shape = replace(shape, box=None, region=_inside(turned.tolist(), view.size))
        marks = [shape]
        if row.mask is not None:
            marks.append(Mark(region=_mask_region(row, i, row.mask, view.size)))
        points = [] if row.points is None else row.points[i].detach().tolist()
        chosen = points[spec.point : spec.point + 1] if spec.part == "keypoint" else points
        marks += [Mark(point=(x / width, y / height)) for x, y, *likely in chosen if not likely or likely[0] > 0.5]
        corners = [round(side, 1) for point in ((left, top), (right, bottom)) for side in view.point(*point)]
        return Target(
            f"{name}, box {number}" + _part_name(spec),
            self._reader(spec, row, i),
            self.score or "prob",
            index,
            score,
            _certain,
            tuple(marks),
            {
                "detection": number,
                "detections": count,
                "bounding_box": corners,
                **({"stride": stride} if (stride := row.stride(i, view.size)) else {}),
            },
        )

    def _reader(self, spec: TargetSpec, row: Detections, i: int) -> Callable[[Detections], Tensor]:
        """Return the reader of a detection's class score, or of its mask or key point."""
        box, index = row.boxes[i].detach(), int(row.labels[i])
        if not spec.part:
            return _class_reader(box, index)
        if spec.part == "mask" and row.mask is not None:
            return _mask_reader(box, index, row.mask(i).detach() > 0)
        count = 0 if row.points is None else row.points.shape[1]
        if spec.part == "keypoint" and row.points is not None and spec.point < count and row.points.shape[2] > 2:
            return _point_reader(box, index, spec.point)
        few = f"{count} key points" if count else "no key points"
        what = "no masks" if spec.part == "mask" else few if spec.point >= count else "key points without a probability"
        raise ModelError(f"no target '{spec.facet}': {self.name} has {what}", "--target box:0 explains its class score")

    @contextmanager
    def attending(self, module: nn.Module, size: tuple[int, int]) -> Iterator[None]:
        """Within the block torchvision's detectors take an input of (height, width) as it is, and keep faint boxes.

        Their own resizing would move the map: a view has done it. Faint boxes never displace others.
        """
        changes: list[tuple[Any, str, Any]] = []
        for part in module.modules():  # the detector may be inside a module of the user's
            transform = getattr(part, "transform", None)
            if hasattr(transform, "min_size") and not getattr(transform, "fixed_size", None):
                changes += [(transform, "min_size", (min(size),)), (transform, "max_size", max(size))]
            threshold = getattr(part, "score_thresh", None)
            if isinstance(threshold, float):
                changes.append((part, "score_thresh", min(threshold, self.min_score, _LOWEST)))
        before = [(part, name, getattr(part, name)) for part, name, _ in changes]
        try:
            for part, name, value in changes:
                setattr(part, name, value)
            yield
        finally:
            for part, name, value in before:
                setattr(part, name, value)


def _certain(row: Detections) -> Detections:
    return replace(row, odds=False)


def _floor(value: float) -> float:
    """Return a value rounded down to two digits."""
    digits = 10.0 ** (math.floor(math.log10(max(value, 1e-12))) - 1)
    return math.floor(value / digits) * digits


def _part_name(spec: TargetSpec) -> str:
    return {"": "", "mask": ", mask", "keypoint": f", key point {spec.point}"}[spec.part]


def _odds(row: Detections, probability: Tensor) -> Tensor:
    """Return the probability, or its logit where the row is read as logits."""
    if not row.odds:
        return probability
    return probability.clamp(min=1e-30).log() - (-probability.clamp(max=1 - 1e-7)).log1p()


def _class_reader(box: Tensor, index: int) -> Callable[[Detections], Tensor]:
    return lambda row: _odds(row, similarity(row, box, index))


def _mask_reader(box: Tensor, index: int, region: Tensor) -> Callable[[Detections], Tensor]:
    """Return a reader of the mean score of the mask of the best matching detection over a region (h, w)."""

    def pick(row: Detections) -> Tensor:
        if row.mask is None or not len(row.scores):
            return row.scores.sum() * 0
        logits = row.mask(closest(row, box, index))
        values = logits[region] if logits.shape == region.shape and bool(region.any()) else logits
        return values.mean() if row.odds else values.sigmoid().mean()

    return pick


def _point_reader(box: Tensor, index: int, point: int) -> Callable[[Detections], Tensor]:
    """Return a reader of the probability of a key point of the best matching detection."""

    def pick(row: Detections) -> Tensor:
        if row.points is None or not len(row.scores):
            return row.scores.sum() * 0
        return _odds(row, row.points[closest(row, box, index), point, 2])

    return pick


def _mask_region(row: Detections, i: int, mask: Callable[[int], Tensor], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where the mask of a detection is, cut to its box: prototypes are shared by all boxes."""
    region = (mask(i).detach() > 0).cpu().numpy()
    height, width = region.shape
    across, down = (1, 1) if row.shares else size
    left, top, right, bottom = row.boxes[i].detach().tolist()
    x, y = (np.arange(width) + 0.5) / width * across, (np.arange(height) + 0.5) / height * down
    inside = ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))[None]
    return np.asarray(region & inside, np.bool_)


def _inside(corners: Sequence[Sequence[float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the positions (h, w) of a grid over an input (width, height) that are inside a rotated box."""
    width, height = (max(side // 2, 1) for side in size)
    x, y = (np.arange(width) + 0.5) / width, ((np.arange(height) + 0.5) / height)[:, None]
    inside = np.ones((height, width), np.bool_)
    around = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise([*corners, corners[0]]))
    for (x0, y0), (x1, y1) in pairwise([*corners, corners[0]]):
        inside &= ((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) * around >= 0
    return inside
