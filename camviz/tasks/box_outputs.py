"""Formats in which detectors return boxes, read as `Detections`: of torchvision, of the DETR family, of YOLO.

Only shapes decide which format an output has, so that it is known before any value is; values decide between units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from camviz.tasks.boxes import Detections, corners_of

if TYPE_CHECKING:
    from torch import Tensor

_CELLS = 21  # 16 + 4 + 1 cells of the strides 8, 16 and 32 in 32 × 32 pixels: the candidates of a YOLO are a multiple
_FINAL = 6  # columns of a final detection: four sides, score, class
_EXTRAS = ("mask_coefficient", "kpts", "angle")  # of ultralytics' heads, behind the class scores


def structured(output: Any) -> bool:
    """Return whether the parts of an output show that it has boxes."""
    return listed(output) or queries(output) is not None or _yolo(output, 0) is not None


def looks_like_boxes(output: Any, classes: int) -> bool:
    """Return whether a bare tensor has the shape of YOLO's boxes, for that many class names (0: unknown)."""
    return structured(output) or _bare(output, classes) is not None


def has_levels(output: Any, classes: int) -> bool:
    """Return whether boxes come from a head on several levels of a network, as those of YOLO and its RT-DETR."""
    named = isinstance(output, Mapping) and output.get("pred_boxes") is not None
    return looks_like_boxes(output, classes) and not listed(output) and not named


def read(output: Any, classes: int) -> list[Detections]:
    """Return the detections of each image; [] for another output. `classes` is the number of names, 0 if unknown."""
    if listed(output):
        return [_from_parts(_named(image_output)) for image_output in output]
    if (found := queries(output)) is not None:
        return _from_queries(*found, classes)
    candidates = _yolo(output, classes) or _bare(output, classes)
    return candidates.read() if candidates else []


def listed(output: Any) -> bool:
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


def queries(output: Any) -> tuple[Tensor, Tensor, Tensor | None, bool] | None:
    """Return logits (n, queries, classes), boxes, masks, and whether classes are known to have a sigmoid each.

    The output is that of a model of the DETR family; None for others. ultralytics' RT-DETR returns a tuple of decoder
    and encoder outputs beside its final detections.
    """
    if isinstance(output, Mapping):
        logits = output.get("logits", output.get("pred_logits"))
        boxes = output.get("pred_boxes")
        return None if boxes is None or logits is None else (logits, boxes, output.get("pred_masks"), False)
    raw = output[1] if isinstance(output, (list, tuple)) and len(output) == 2 else None
    if isinstance(raw, (list, tuple)) and len(raw) == 5 and all(_axes(part) == 4 for part in raw[:2]):
        return raw[1][-1], raw[0][-1], None, True
    return None


def _from_parts(output: Mapping[str, Tensor]) -> Detections:
    masks, points = output.get("masks"), output.get("keypoints")
    if masks is not None and masks.ndim == 4:
        masks = masks[:, 0]
    if points is not None and "keypoints_scores" in output:
        import torch

        points = torch.cat([points[..., :2], output["keypoints_scores"][..., None].sigmoid()], -1)
    return Detections(
        output["boxes"].float(),
        output["scores"].float(),
        output["labels"],
        mask=None if masks is None else lambda i: masks[i].float().logit(1e-6),
        points=points if points is None or "keypoints_scores" in output else points[..., :2],
    )


def _from_queries(logits: Tensor, boxes: Tensor, masks: Tensor | None, sigmoid: bool, classes: int) -> list[Detections]:
    """Return the detections of boxes (center x, center y, width, height).

    A last class beyond the class names means "no object"; without class names the last class is taken for it, as in
    DETR. Models with a sigmoid per class have none.
    """
    logits = logits.float()
    sigmoid = sigmoid or logits.shape[-1] == classes
    likely = logits.sigmoid() if sigmoid else logits.softmax(-1)[..., :-1]
    scores, labels = likely.max(-1)
    corners = corners_of(boxes.float())

    def mask_of(image: int) -> Any:
        return None if masks is None else lambda i: masks[image, i].float()

    return [Detections(corners[i], scores[i], labels[i], True, mask_of(i)) for i in range(len(logits))]


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Boxes of YOLO: `rows` (n, k, columns), with `classes` columns of scores, or `final` with score and class.

    `objectness`: a column before the classes that multiplies them. `extras` are the columns behind the classes, by
    name; `prototypes` (n, c, h, w) are combined into masks by the coefficients in them.
    """

    rows: Tensor
    classes: int
    final: bool = False
    objectness: bool = False
    extras: Mapping[str, int] | None = None
    prototypes: Tensor | None = None
    rotated: bool = False

    def read(self) -> list[Detections]:
        return [self._read(i, row.float()) for i, row in enumerate(self.rows)]

    def _read(self, image: int, row: Tensor) -> Detections:
        import torch

        sides, rest = row[:, :4], row[:, 4:]
        classes = None
        if self.final:
            scores, labels, rest = rest[:, 0], rest[:, 1].detach().round().long(), rest[:, 2:]
        else:
            if self.objectness:
                certain, rest = _probabilities(rest[:, :1]), rest[:, 1:]
            classes = _probabilities(rest[:, : self.classes])
            classes = classes * certain if self.objectness else classes
            (scores, labels), rest = classes.max(1), rest[:, self.classes :]
        values = sides.detach()
        centered = not self.final or self.rotated or bool((values[:, 2:] < values[:, :2]).any())
        parts = dict(zip(self.extras or {}, torch.split(rest, list((self.extras or {}).values()), 1), strict=True))
        corners = _rotated(sides, parts["angle"][:, 0]) if "angle" in parts else None
        boxes = corners_of(sides) if centered else sides
        if corners is not None:
            boxes = torch.cat([corners.amin(1), corners.amax(1)], 1)
        return Detections(
            boxes,
            scores,
            labels,
            bool(values.abs().max() <= 2) if len(values) else False,
            self._masks(image, parts.get("mask_coefficient")),
            _points(parts.get("kpts")),
            classes=classes,
            overlapping=not self.final,
            corners=corners,
        )

    def _masks(self, image: int, coefficients: Tensor | None) -> Any:
        if self.prototypes is None or coefficients is None:
            return None
        prototypes = self.prototypes[image].float()
        return lambda i: (coefficients[i] @ prototypes.flatten(1)).reshape(prototypes.shape[1:])


def _yolo(output: Any, classes: int) -> _Candidates | None:
    """Return the candidates in the outputs of ultralytics' heads, of YOLOv5, YOLOv7 and YOLOv10; None for others."""
    if isinstance(output, Mapping):
        part = output.get("one2one", output.get("one2many"))
        return None if part is None else _yolo(part, classes) or _bare(part, classes)
    if not isinstance(output, (list, tuple)) or len(output) < 2:
        return None
    first, prototypes = output[0], None
    if isinstance(first, (list, tuple)) and len(first) == 2 and _axes(first[1]) == 4:
        first, prototypes = first
    elif _axes(output[1]) == 4 and len(output) <= 3:
        prototypes = output[1]
    if _axes(first) != 3:
        return None
    if isinstance(output[1], Mapping):
        return _of_heads(first, prototypes, output[1])
    levels = output[-1]
    if prototypes is not None:
        return _bare(first, classes, int(prototypes.shape[1]), prototypes)
    leveled = isinstance(levels, (list, tuple)) and len(levels) > 1 and all(_axes(part) in (4, 5) for part in levels)
    return _bare(first, classes) if leveled else None


def _of_heads(rows: Tensor, prototypes: Tensor | None, raw: Mapping[str, Any]) -> _Candidates | None:
    """Return the candidates of a head of ultralytics, from the raw predictions beside them."""
    raw = raw.get("one2one") or raw.get("one2many") or raw
    if isinstance(raw, (list, tuple)):  # (candidates, levels), as YOLOv10 had it
        return _bare(rows, 0)
    if "scores" not in raw:
        return None
    classes = int(raw["scores"].shape[1])
    extras = {name: int(raw[name].shape[1]) for name in _EXTRAS if name in raw}
    final = rows.shape[1] != 4 + classes + sum(extras.values())
    return _Candidates(
        rows if final else rows.mT, classes, final, extras=extras, prototypes=prototypes, rotated="angle" in extras
    )


def _bare(output: Any, classes: int, coefficients: int = 0, prototypes: Tensor | None = None) -> _Candidates | None:
    """Return the candidates in a tensor (n, 4+k, anchors), (n, anchors, 5+k), (n, anchors, 4+k) or (n, boxes, 6)."""
    if _axes(output) != 3:
        return None
    first, second = output.shape[1:]
    extras = {"mask_coefficient": coefficients} if coefficients else None
    scores = [side - 4 - coefficients for side in (first, second)]
    if second == _FINAL + coefficients and first % _CELLS and classes not in (scores[1], scores[1] - 1):
        return _Candidates(output, 0, True, extras=extras, prototypes=prototypes)
    if first < second and scores[0] > 0 and (scores[0] == classes if classes else second % _CELLS == 0):
        return _Candidates(output.mT, scores[0], extras=extras, prototypes=prototypes)
    if first > second and scores[1] > 0:
        if scores[1] == classes:
            return _Candidates(output, classes, extras=extras, prototypes=prototypes)
        if scores[1] - 1 == classes or (not classes and first % _CELLS == 0):
            return _Candidates(output, scores[1] - 1, objectness=True, extras=extras, prototypes=prototypes)
    return None


def _probabilities(scores: Tensor) -> Tensor:
    """Return scores of 0 to 1: logits get a sigmoid."""
    values = scores.detach()
    return scores if not len(values) or bool(((values >= 0) & (values <= 1)).all()) else scores.sigmoid()


def _points(values: Tensor | None) -> Tensor | None:
    """Return key points (k, p, 3) of x, y and a probability, or (k, p, 2), from columns."""
    if values is None:
        return None
    last = values.detach()[:, 2::3]
    certain = values.shape[1] % 3 == 0 and bool(((last >= 0) & (last <= 1)).all())
    return values.reshape(len(values), -1, 3 if certain else 2)


def _rotated(boxes: Tensor, angle: Tensor) -> Tensor:
    """Return the corners (k, 4, 2) of boxes (k, 4) of center x, center y, width, height, turned by an angle."""
    import torch

    middle, (width, height) = boxes[:, :2], boxes[:, 2:4].unbind(1)
    across = torch.stack([angle.cos() * width, angle.sin() * width], 1) / 2
    down = torch.stack([-angle.sin() * height, angle.cos() * height], 1) / 2
    ends = (middle - across - down, middle + across - down, middle + across + down, middle - across + down)
    return torch.stack(ends, 1)


def _axes(part: Any) -> int:
    """Return the number of axes of a tensor, 0 for anything else."""
    return len(part.shape) if hasattr(part, "shape") and not isinstance(part, Sequence) else 0
