"""Boxes with class scores: the value that detectors' outputs are read as, overlap, and non-maximum suppression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

SAME = 0.999  # IoU from which a box counts as the chosen box itself
OVERLAP = 0.7  # IoU from which the weaker of two candidates of a class is left out, as ultralytics does
_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))  # of the levels of YOLO
_MOST = 1000  # candidates that are compared with each other


@dataclass(frozen=True, eq=False)
class Detections:
    """The detections in one image: boxes (k, 4) as left, top, right, bottom; scores (k,), labels (k,).

    Boxes are in pixels of the model's input, or with `shares` in fractions of it. Scores are probabilities; with `odds`
    a target reads their logits. `classes` (k, c) are the probabilities of all classes where the model has them.
    `overlapping`: candidates before non-maximum suppression, of which `order` leaves the weaker ones out.
    Where the model has them: `mask(i)` returns the logits (h, w) of the mask of box i over the input; `points` are
    (k, p, 2), or (k, p, 3) with a probability; `corners` (k, 4, 2) those of rotated boxes.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    shares: bool = False
    mask: Callable[[int], Tensor] | None = None
    points: Tensor | None = None
    odds: bool = True
    classes: Tensor | None = None
    overlapping: bool = False
    corners: Tensor | None = None

    def order(self) -> list[int]:
        """Return the detections, the most confident first; of overlapping candidates the best of each object."""
        order: list[int] = self.scores.detach().argsort(descending=True, stable=True).tolist()
        return self._distinct(order[:_MOST]) if self.overlapping else order

    def _distinct(self, order: Sequence[int]) -> list[int]:
        """Return those that no better one of their class overlaps by more than `OVERLAP`."""
        import torch

        index = torch.tensor(order, dtype=torch.long, device=self.boxes.device)
        boxes, labels = self.boxes.detach()[index], self.labels[index]
        overlaps = iou(boxes[:, None], boxes[None])
        same = ((overlaps > OVERLAP) & (labels == labels[:, None])).cpu().numpy()
        left = np.ones(len(order), np.bool_)
        for position in range(len(order)):
            if left[position]:
                left[position + 1 :] &= ~same[position, position + 1 :]
        return [i for i, kept in zip(order, left, strict=True) if kept]

    def stride(self, i: int, size: tuple[int, int]) -> int:
        """Return the pixels per cell of the level of candidate i, for an input (width, height); 0: unknown.

        Candidates are in the order of levels and cells, with as many boxes for each cell.
        """
        for strides in _STRIDES if self.overlapping else ():
            counts = [-(-size[0] // stride) * -(-size[1] // stride) for stride in strides]
            if len(self.scores) % sum(counts) == 0:
                cell = i // (len(self.scores) // sum(counts))
                return next(s for s, last in zip(strides, accumulate(counts), strict=True) if cell < last)
        return 0

    def of_class(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the scores (m,) and boxes (m, 4) of a class: of every box where all class scores are known."""
        if self.classes is not None:
            return self.classes[:, index], self.boxes
        same = self.labels == index
        return self.scores[same], self.boxes[same]


def similarity(row: Detections, box: Tensor, index: int) -> Tensor:
    """Return the largest IoU × score of the class, 0 to 1; for the same box its own score."""
    scores, boxes = row.of_class(index)
    if not len(scores):
        return row.scores.sum() * 0  # 0, but still part of the graph
    overlap = iou(boxes.detach(), box)
    itself = overlap > SAME
    return scores[itself].max() if bool(itself.any()) else (overlap * scores).max()


def closest(row: Detections, box: Tensor, index: int) -> int:
    """Return the detection with the largest IoU × score of the class."""
    scores, _ = row.of_class(index) if row.classes is not None else (row.scores * (row.labels == index), None)
    overlap = iou(row.boxes.detach(), box)
    return int((overlap * scores.detach() + (overlap > SAME)).argmax())


def iou(boxes: Tensor, other: Tensor) -> Tensor:
    """Return the intersection over union (…) of boxes (…, 4) with a box (4,), or with other boxes (…, 4)."""
    import torch

    other = other.to(boxes)
    sides = (torch.minimum(boxes[..., 2:], other[..., 2:]) - torch.maximum(boxes[..., :2], other[..., :2])).clamp(min=0)
    shared = sides.prod(-1)
    areas, area = ((part[..., 2:] - part[..., :2]).clamp(min=0).prod(-1) for part in (boxes, other))
    return shared / (areas + area - shared).clamp(min=1e-12)


def corners_of(centers: Tensor) -> Tensor:
    """Return boxes (…, 4) of left, top, right, bottom from center x, center y, width, height."""
    import torch

    middle, half = centers[..., :2], centers[..., 2:4] / 2
    return torch.cat([middle - half, middle + half], -1)
