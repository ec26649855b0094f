"""The noise floor of a model: how much class scores vary on images without content, and evidence in that unit.

A map is weak if its target's score hardly rises above its mean on such images, if the map is constant, or if the
weights were never trained. The unit is the model's own
spread of class scores, so that it does not depend on the scale of the weights. Raw ranges of maps cannot be compared
with those of randomized weights: their distributions overlap (ResNet20 on CIFAR-10, in units of the spread of logits:
7.3 to 12.7 with trained weights, 6.7 to 11.6 with randomized ones).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from camviz.engine.forward import ForwardRequest, run_forward
from camviz.engine.map_checks import variation
from camviz.engine.untrained import untrained_weights
from camviz.errors import CamvizError
from camviz.models.channels import input_channels
from camviz.types import Map, Target

FLAT, NOISY = 8, 4  # reference images: of one color each, of independent uniform pixels
# Maps of trained models below it: 2 to 5 % on CIFAR-10 (ResNet20, another ResNet, a ViT), none on ImageNet, MNIST and
# VOC; maps of models with PyTorch's initialization: 91 to 100 %.
WEAK = 1.1


class NoiseFloor:
    """The scores of a model on reference images without content, and whether it was trained; computed once."""

    def __init__(self, ask: ForwardRequest) -> None:
        self.ask = replace(ask, layers=(), gradients=False, frozen={}, stages={}, head=False)

    @cached_property
    def untrained(self) -> str:
        """The evidence that the weights were never trained, "" if there is none."""
        return untrained_weights(self.ask.model.module)

    @cached_property
    def rows(self) -> tuple[Tensor, ...]:
        """Output rows (r, classes, …) on each kind of reference image; none where rows are not class scores."""
        rows: list[Any] = []
        model, task = self.ask.model, self.ask.task
        attending = task.attending(model.module, model.preprocessing.crop) if task else nullcontext()
        try:
            with attending:
                rows = [run_forward(self.ask, inputs).rows for inputs in self._references()]
        except CamvizError:  # a model that refuses such inputs has no noise floor
            return ()
        return tuple(kind.detach().float() for kind in rows if isinstance(kind, Tensor) and kind.ndim > 1)

    def _references(self) -> Iterator[Tensor]:
        """Yield flat images, then noise images, normalized: (r, channels, H, W) at the model's own size."""
        how = self.ask.model.preprocessing
        channels = input_channels(self.ask.model.module) if len(how.mean) == 1 else len(how.mean)
        generator = torch.Generator().manual_seed(0)
        mean, std = (torch.tensor(values)[:, None, None] for values in (how.mean, how.std))
        for count, size in ((FLAT, (1, 1)), (NOISY, how.crop)):
            pixels = torch.rand(count, channels, *size, generator=generator).expand(count, channels, *how.crop)
            yield ((pixels - mean) / std).to(self.ask.model.device)

    def evidence(self, target: Target, row: Any) -> float | None:
        """Return by how much a target's score exceeds its mean on reference images, in units of the noise floor.

        Scores are relative to the mean over classes; the floor is the standard deviation over classes of their mean
        scores on reference images. The larger value of the two kinds counts. None where scores have no classes.
        """
        index = target.index
        if index is None or not isinstance(row, Tensor) or row.ndim < 1 or len(row) < 2 or not self.rows:
            return None
        with torch.enable_grad():
            leaf = row.detach().float().requires_grad_()
            (share,) = torch.autograd.grad(target.read(leaf, "logit"), leaf)
        weights = share[index]  # of each position in the target's region; 1 for a classifier
        scores = (row.detach().float() * weights).flatten(1).sum(1) if weights.ndim else row.detach().float() * weights
        return max(_excess(scores, _class_means(kind) * weights.sum(), index) for kind in self.rows)


def _class_means(rows: Tensor) -> Tensor:
    """Return the mean score of each class (classes,) over reference images and positions."""
    return rows.transpose(0, 1).flatten(1).mean(1)


def _excess(scores: Tensor, reference: Tensor, index: int) -> float:
    rise = scores - reference
    excess, floor = float(rise[index] - rise.mean()), float(reference.std())
    if floor > 0:
        return excess / floor
    return float("inf") if excess > 0 else 0.0


def why_weak(values: Map, target: str, evidence: float | None, untrained: str = "") -> str:
    """Return why a map (h, w) is weak, "" if it is not."""
    if untrained:
        return f"weak: the model is untrained: {untrained}"
    if variation(values) == 0:
        return "weak: the map has the same value everywhere"
    if evidence is None or evidence > WEAK:
        return ""
    return f"weak: evidence for '{target}' is {evidence:.2g} × the noise floor (class scores on images without content)"
