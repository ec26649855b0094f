"""Detection and instance segmentation: boxes, each with a class and a score. One map per detection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from camviz import tasks
from camviz.errors import ModelError, NothingFound, RequestError
from camviz.tasks import TASKS, Task
from camviz.tasks.classification import distinct, find_class, label_of, slug
from camviz.tasks.outputs import Ending
from camviz.types import Mark, Target, View

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST = 20  # detections per image that --target all, or a class, explains
_LOWEST = 0.05  # a score threshold of the model is lowered to this: a partly covered object must stay detected
_SAME = 0.999  # IoU from which a box counts as the chosen box itself
_SHOWN = 0.5  # threshold of an instance's mask


@dataclass(frozen=True, eq=False)
class Detections:
    """The detections in one image: boxes (k, 4) as left, top, right, bottom; scores (k,), labels (k,).

    Boxes are in pixels of the model's input, or with `shares` in fractions of it. `masks` (k, h, w) and `points`
    (k, p, 2) where the model has them. Scores are probabilities; with `odds` a target reads their logits.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    shares: bool = False
    masks: Tensor | None = None
    points: Tensor | None = None
    odds: bool = True


@dataclass(frozen=True)
class TargetSpec(tasks.TargetSpec):
    """The detection `number` (0 is the most confident), all of the class `index`, or all."""

    number: int | None = None
    index: int | None = None


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
        return Detection.structured(output)

    @staticmethod
    def structured(output: Any) -> bool:
        return _listed(output) or _logits(output) is not None

    def parse(self, texts: Sequence[str]) -> list[TargetSpec]:
        targets: list[TargetSpec] = []
        for text in (text.strip() for text in texts):
            targets += [target for target in self._parse(text) if target not in targets]
        if any(target.facet == "box" for target in targets):  # `all` includes every numbered box
            targets = [target for target in targets if target.number is None]
        return distinct(targets)

    def _parse(self, text: str) -> list[TargetSpec]:
        if text.casefold() == "all":
            return [TargetSpec("box", several=True)]
        if top := re.fullmatch(r"top-?(\d+)", text, re.IGNORECASE):
            return [TargetSpec(f"box{number}", number=number) for number in range(min(int(top[1]), MOST))]
        if box := re.fullmatch(r"box:?\s*(\d+)", text, re.IGNORECASE):
            return [TargetSpec(f"box{int(box[1])}", number=int(box[1]))]
        if text.startswith("box:") or not text:
            raise RequestError(
                f"no target '{text}': it names no detection",
                "--target box:0 (the most confident), all, or a class name",
            )
        if "," in text and text.casefold() not in (label.casefold() for label in self.labels):
            return [target for part in text.split(",") if part.strip() for target in self._parse(part.strip())]
        return [TargetSpec(f"{slug(text)}-", index=find_class(text, self.labels, self.name), several=True)]

    def check(self, specs: Sequence[tasks.TargetSpec], output: Any) -> None:
        if not _listed(output) and _logits(output) is None:
            self.rows(output, 1)  # raises and describes the output

    def rows(self, output: Any, count: int) -> list[Detections]:
        rows = []
        if _listed(output):
            rows = [_from_parts(_named(image_output)) for image_output in output]
        elif (logits := _logits(output)) is not None:
            rows = _from_queries(output, logits, len(self.labels))
        if len(rows) != count:
            raise ModelError(
                f"the output of {self.name} for {count} image(s) is {tasks.described(output)}, "
                "not boxes with scores and labels",
                f"--task sets the task: {', '.join(TASKS.names())}",
            )
        return rows

    def choose(self, spec: tasks.TargetSpec, row: Detections, view: View) -> list[Target]:
        assert isinstance(spec, TargetSpec)
        scores = row.scores.detach()
        order: list[int] = scores.argsort(descending=True).tolist()
        numbered = [(number, i) for number, i in enumerate(order) if scores[i] >= self.min_score]
        if spec.number is not None:
            found = numbered[spec.number : spec.number + 1]
        else:
            found = [(n, i) for n, i in numbered if spec.index in (None, int(row.labels[i]))]
        if not found:
            raise self._nothing(spec, row, order, len(numbered))
        return [self._target(row, i, number, view, len(found)) for number, i in found[:MOST]]

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
        if not near:
            shown = [f"'{label_of(int(row.labels[i]), self.labels)}' {float(scores[i]):.2g}" for i in order[:enough]]
            there = f"; detected: {', '.join(shown[:4])}{', …' * (enough > 4)}" if enough else ""
            return NothingFound(
                f"{'no detections' if spec.index is None else f'no {what} detected'}{there}",
                "--target box:0 takes the most confident" if enough else "",
            )
        best = float(scores[near[0]])
        name = f"'{label_of(int(row.labels[near[0]]), self.labels)}' with " if spec.index is None else ""
        return NothingFound(
            f"no {what} reaches {self.min_score:g}; the best is {name}{best:.2g}",
            f"--min-score {int(best * 100) / 100:g}",
        )

    def _some(self, count: int) -> str:
        return f"{count} detection{'s'[: count != 1]} of at least {self.min_score:g}"

    def _target(self, row: Detections, i: int, number: int, view: View, count: int) -> Target:
        index, score = int(row.labels[i]), float(row.scores[i].detach())
        name = label_of(index, self.labels)
        box = row.boxes[i].detach()
        width, height = (1, 1) if row.shares else view.size
        left, top, right, bottom = (value / side for value, side in zip(box.tolist(), (width, height) * 2, strict=True))
        marks = [Mark(f"{name} {score:.0%}", box=(left, top, right, bottom))]
        if row.masks is not None:
            marks.append(Mark(region=(row.masks[i].detach() > _SHOWN).cpu().numpy()))
        if row.points is not None:
            marks += [Mark(point=(x / width, y / height)) for x, y in row.points[i].detach().tolist()]
        corners = [round(side, 1) for point in ((left, top), (right, bottom)) for side in view.point(*point)]
        return Target(
            f"{name}, box {number}",
            _reader(box, index),
            self.score or "prob",
            index,
            score,
            _certain,
            tuple(marks),
            {"detection": number, "detections": count, "bounding_box": corners},
        )

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


def _listed(output: Any) -> bool:
    """Return whether the output has boxes, scores and labels per image: torchvision's dicts, or tuples of tensors."""
    several = isinstance(output, (list, tuple)) and len(output) > 0
    return several and all({"boxes", "scores", "labels"} <= set(_named(image_output)) for image_output in output)


def _named(image_output: Any) -> Mapping[str, Tensor]:
    """Return the detections of an image by name; those of a tuple are told apart by their shapes and types."""
    if isinstance(image_output, Mapping):
        return image_output
    parts: dict[str, Tensor] = {}
    for part in image_output if isinstance(image_output, (list, tuple)) else ():
        axes, real = getattr(part, "ndim", 0), hasattr(part, "is_floating_point") and part.is_floating_point()
        name = {(2, True): "boxes", (1, True): "scores", (1, False): "labels"}.get((axes, real), "")
        if not name or name in parts or (name == "boxes" and part.shape[1] != 4):
            return {}
        parts[name] = part
    return parts if len({len(part) for part in parts.values()}) == 1 else {}


def _logits(output: Any) -> Tensor | None:
    """Return the class scores (n, queries, classes) of a model of the DETR family, None for other models."""
    if not isinstance(output, Mapping) or output.get("pred_boxes") is None:
        return None
    logits: Tensor | None = output.get("logits", output.get("pred_logits"))
    return logits


def _from_parts(output: Mapping[str, Tensor]) -> Detections:
    masks, points = output.get("masks"), output.get("keypoints")
    return Detections(
        output["boxes"].float(),
        output["scores"].float(),
        output["labels"],
        masks=masks[:, 0] if masks is not None and masks.ndim == 4 else masks,
        points=None if points is None else points[..., :2],
    )


def _from_queries(output: Mapping[str, Tensor], logits: Tensor, classes: int) -> list[Detections]:
    """Return the detections of boxes (center x, center y, width, height).

    A last class beyond the class names means "no object"; without class names the last class is taken for it, as in
    DETR. Models with a sigmoid per class have none.
    """
    import torch

    logits = logits.float()
    likely = logits.sigmoid() if logits.shape[-1] == classes else logits.softmax(-1)[..., :-1]
    scores, labels = likely.max(-1)
    centers = output["pred_boxes"].float()
    middle, half = centers[..., :2], centers[..., 2:] / 2
    boxes = torch.cat([middle - half, middle + half], -1)
    masks = output.get("pred_masks")
    return [
        Detections(boxes[i], scores[i], labels[i], True, None if masks is None else masks[i].float().sigmoid())
        for i in range(len(logits))
    ]


def _certain(row: Detections) -> Detections:
    return replace(row, odds=False)


def _reader(box: Tensor, index: int) -> Callable[[Detections], Tensor]:
    def pick(row: Detections) -> Tensor:
        value = similarity(row, box, index)
        return value.logit(1e-6) if row.odds else value

    return pick


def similarity(row: Detections, box: Tensor, index: int) -> Tensor:
    """Return the largest IoU × score of the class, 0 to 1; for the same box its own score."""
    same = row.labels == index
    scores = row.scores[same]
    if not len(scores):
        return row.scores.sum() * 0  # 0, but still part of the graph
    overlap = iou(row.boxes[same].detach(), box)
    itself = overlap > _SAME
    return scores[itself].max() if bool(itself.any()) else (overlap * scores).max()


def iou(boxes: Tensor, other: Tensor) -> Tensor:
    """Return the intersection over union (k,) of boxes (k, 4) with a box (4,)."""
    import torch

    other = other.to(boxes)
    sides = (torch.minimum(boxes[:, 2:], other[2:]) - torch.maximum(boxes[:, :2], other[:2])).clamp(min=0)
    shared = sides.prod(1)
    areas, area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1), (other[2:] - other[:2]).clamp(min=0).prod()
    return shared / (areas + area - shared).clamp(min=1e-12)
