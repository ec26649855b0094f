"""Semantic segmentation: a score per class and position. A target is a class over a region."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from camviz import tasks
from camviz.errors import InputError, ModelError, RequestError, first_of
from camviz.tasks import TASKS, Task
from camviz.tasks.classification import TargetSpec as ClassTarget
from camviz.tasks.classification import check_range, distinct, label_of, parse_targets, slug
from camviz.tasks.outputs import Ending
from camviz.tasks.regions import PREFIXES, Region, check_mask, parse_point, region_of, share, split
from camviz.types import Mark, Target, View

if TYPE_CHECKING:
    from torch import Tensor

_BACKGROUND = ("background", "__background__", "bg")


@dataclass(frozen=True)
class TargetSpec(ClassTarget):
    """A class where it is predicted, at a `point` of the image, or in the region of a `mask` file.

    At a point or in a mask without a class, the class predicted most often there.
    """

    point: tuple[float, float] | None = None
    mask: str = ""


@TASKS.add("segmentation")
@dataclass(frozen=True)
class Segmentation(Task):
    """A class per position: its score is the mean over the region where it is predicted (arXiv:2002.11434).

    `top1` is the class with the largest region except the background; `point:120,80` is a pixel of the image,
    `mask:FILE` the nonzero pixels of an image of the same size; 'dog@point:120,80' chooses the class there.
    """

    method: ClassVar[str] = "hirescam"  # Grad-CAM averages gradients over the image: no region
    prefixes: ClassVar[tuple[str, ...]] = PREFIXES
    placed: ClassVar[bool] = True

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str], ending: Ending) -> bool:
        shape = tuple(getattr(output, "shape", ()))
        if len(shape) == 3:  # a mask without an axis of classes
            return ending.activation == "sigmoid" and min(shape[1:]) > 1
        several = len(shape) == 4 and 0 < shape[1] < shape[2] * shape[3]  # fewer classes than positions
        return several or Segmentation.structured(output)

    @staticmethod
    def structured(output: Any) -> bool:
        return isinstance(output, Mapping) and output.get("masks_queries_logits") is not None

    def parse(self, texts: Sequence[str]) -> list[TargetSpec]:
        targets: list[TargetSpec] = []
        for text in texts:
            targets += [target for target in self._parse(text.strip()) if target not in targets]
        return distinct(targets)

    def _parse(self, text: str) -> list[TargetSpec]:
        name, kind, position = split(text)
        if not kind:
            return [TargetSpec(**vars(target)) for target in self._classes(text)]
        if name and (len(named := self._classes(name)) != 1 or named[0].rank is not None):
            raise RequestError(f"no target '{text}': it must name one class", f"--target 'cat@{kind}:{position}'")
        index, minus = (named[0].index, named[0].minus) if name else (None, None)
        if kind == "mask":
            mask = check_mask(position)
            return [TargetSpec(slug(f"{name} mask {Path(mask).stem}"), mask=mask, index=index, minus=minus)]
        point = parse_point(text, position)
        return [TargetSpec(slug(f"{name} {kind}{position}"), point=point, index=index, minus=minus)]

    def _classes(self, text: str) -> list[ClassTarget]:
        return parse_targets([text], self.labels, self.name)

    def check(self, specs: Sequence[tasks.TargetSpec], output: Any) -> None:
        scores = _scores(output)
        if scores is None:
            return
        classes = max(scores.shape[1], 2)
        if self.labels and len(self.labels) != classes:
            raise RequestError(
                f"{len(self.labels)} class names for {self.name}, which has {classes} classes",
                "--labels FILE with one name per class, the background included, in the order of training",
            )
        check_range([target for target in specs if isinstance(target, TargetSpec)], classes, self.name)

    def rows(self, output: Any, count: int) -> Tensor:
        scores = _scores(output)
        if scores is None or len(scores) != count:
            raise ModelError(
                f"the output of {self.name} for {count} image(s) is {tasks.described(output)}, "
                "not a score per class and position",
                f"--task sets the task: {', '.join(TASKS.names())}",
            )
        scores = scores.float()
        if scores.shape[1] == 1:  # one logit per position: a class and its background, whose softmax is the sigmoid
            import torch

            scores = torch.cat([-scores / 2, scores / 2], 1)
        return scores

    def choose(self, spec: tasks.TargetSpec, row: Tensor, view: View) -> list[Target]:
        assert isinstance(spec, TargetSpec)
        predicted = Predicted(row.detach(), self._overlap(row))
        index, marks = spec.index, []
        if spec.point or spec.mask:
            region = region_of(spec.point, spec.mask, predicted.shape, view)
            if index is None:
                index = predicted.most(region)
            if spec.point:
                marks = [Mark(point=share(spec.point, view)), Mark(region=predicted.region(index))]
        else:
            index = self._ranked(spec.rank, predicted) if index is None else index
            region = predicted.region(index)
            if not region.any():
                raise InputError(
                    f"'{label_of(index, self.labels)}' is predicted nowhere; predicted are {self._listed(predicted)}",
                    "--target top1 takes the largest region; 'CLASS@point:X,Y' explains a class at a position",
                )
        label = label_of(index, self.labels)
        if spec.minus is not None:
            label = f"{label} vs {label_of(spec.minus, self.labels)}"
        probabilities = _sigmoid if predicted.overlap else _softmax
        pick = _reader(region, index, spec.minus)
        likely = float(_reader(region, index, None)(probabilities(row.detach())))
        marks = marks or [Mark(f"{label} {likely:.0%}", region=region)]
        if spec.point:
            marks[0] = replace(marks[0], text=f"{label} {likely:.0%}")
            label += f" at {spec.point[0]:g},{spec.point[1]:g}"
        elif spec.mask:
            label += f" in {Path(spec.mask).stem}"
        facts = {"region": round(float(region.mean()), 6)}
        return [Target(label, pick, self.score or "logit", index, likely, probabilities, tuple(marks), facts)]

    def _overlap(self, row: Tensor) -> bool:
        """Return whether each class has a sigmoid, so that a position may have several classes."""
        return self.activation == "sigmoid" and not self._single(row)

    @staticmethod
    def _single(row: Tensor) -> bool:
        """Return whether a row comes from a single logit per position, see `rows`."""
        return row.shape[0] == 2 and bool((row[0] == -row[1]).all())

    def _ranked(self, rank: int | None, predicted: Predicted) -> int:
        """Return the class of a rank by area, without the background unless nothing else is predicted."""
        areas = predicted.areas()
        ranking = [index for index in areas if not self._background(index, predicted)] or list(areas)
        assert rank is not None
        if rank >= len(ranking):
            raise InputError(
                f"no class of rank {rank + 1}: predicted are {self._listed(predicted)}",
                f"--target top{len(ranking)} is the last" if ranking else "--target CLASS@point:X,Y",
            )
        return ranking[rank]

    def _background(self, index: int, predicted: Predicted) -> bool:
        named = self.labels[0].casefold() in _BACKGROUND if self.labels else not predicted.overlap
        return index == 0 and named

    def _listed(self, predicted: Predicted) -> str:
        areas = predicted.areas().items()
        return first_of(f"'{label_of(i, self.labels)}' {area:.0%}" for i, area in areas) or "no classes"


@dataclass(frozen=True, eq=False)
class Predicted:
    """What scores (classes, h, w) predict; with `overlap` every class with a positive logit, else the largest."""

    scores: Tensor
    overlap: bool

    @cached_property
    def _largest(self) -> NDArray[np.int64]:
        largest: NDArray[np.int64] = self.scores.argmax(0).cpu().numpy()
        return largest

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the output."""
        return self.scores.shape[1], self.scores.shape[2]

    def region(self, index: int) -> Region:
        """Return the positions (h, w) where a class is predicted."""
        return (self.scores[index] > 0).cpu().numpy() if self.overlap else self._largest == index

    def most(self, region: Region) -> int:
        """Return the class predicted most often in a region."""
        return int(np.bincount(self._largest[region]).argmax())

    def areas(self) -> dict[int, float]:
        """Return the share of the output of each predicted class, the largest first."""
        if self.overlap:
            counts = (self.scores > 0).flatten(1).sum(1).cpu().numpy()
        else:
            counts = np.bincount(self._largest.ravel())
        order = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
        return {index: float(counts[index]) / self._largest.size for index in order}


def _scores(output: Any) -> Tensor | None:
    """Return the scores (n, classes, h, w): the first tensor, or the sum over queries of class × mask (MaskFormer)."""
    from camviz.hooks.capture import first_tensor

    if isinstance(output, Mapping) and output.get("masks_queries_logits") is not None:
        masks, classes = output["masks_queries_logits"].float().sigmoid(), output["class_queries_logits"].float()
        scores: Tensor = (classes.softmax(-1)[..., :-1].mT @ masks.flatten(2)).unflatten(2, masks.shape[2:])
        return scores
    tensor = output.get("logits") if isinstance(output, Mapping) and "logits" in output else first_tensor(output)
    if tensor is not None and tensor.ndim == 3:  # a mask without an axis of classes
        tensor = tensor[:, None]
    return tensor if tensor is not None and tensor.ndim == 4 else None


def _softmax(row: Tensor) -> Tensor:
    return row.softmax(-3)


def _sigmoid(row: Tensor) -> Tensor:
    return row.sigmoid()


def _reader(region: Region, index: int, minus: int | None) -> Callable[[Tensor], Tensor]:
    """Return a reader of a class's mean score over a region (h, w), minus that of another class for a contrast."""
    import torch

    places = torch.from_numpy(region)

    def pick(row: Tensor) -> Tensor:
        values = row[..., index, :, :] if minus is None else row[..., index, :, :] - row[..., minus, :, :]
        return values[..., places.to(row.device)].mean(-1)

    return pick
