"""Scores of a small segmentation and the targets chosen in them."""

from __future__ import annotations

import torch

from camviz.tasks.segmentation import Segmentation
from camviz.types import View

LABELS = ("background", "cat", "dog")


WHOLE = View((8, 4), (0, 0, 8, 4), (16, 8))


def scores(predicted) -> torch.Tensor:
    """Scores (classes, h, w) whose largest is that of the class named; 3 there, and 1 more for every place."""
    classes = torch.tensor(predicted)
    rising = torch.arange(classes.numel(), dtype=torch.float32).reshape(classes.shape)
    return torch.stack([(classes == i) * (3 + rising) for i in range(len(LABELS))])


ROW = scores([[0, 0, 1, 1], [0, 2, 1, 0]])


def task(**settings) -> Segmentation:
    return Segmentation("net", LABELS, **settings)


def chosen(text: str, row=ROW, view: View = WHOLE, **settings):
    asked = task(**settings)
    [target] = asked.choose(asked.parse([text])[0], row, view)
    return target
