"""Dense regression: a value per position, such as depth or a heat map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from camviz import tasks
from camviz.errors import ModelError, UnknownName
from camviz.tasks import TASKS, Task
from camviz.tasks.box_outputs import looks_like_boxes
from camviz.tasks.classification import distinct, slug
from camviz.tasks.outputs import Ending
from camviz.tasks.regions import Region, check_mask, parse_point, region_of, share, split
from camviz.types import Mark, Target, View

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TargetSpec(tasks.TargetSpec):
    """The mean of all values, the value at a `point` of the image, or the mean in the region of a `mask` file."""

    point: tuple[float, float] | None = None
    mask: str = ""


@TASKS.add("dense")
@dataclass(frozen=True)
class Dense(Task):
    """A value per position: `mean` explains the mean, point:120,80 a position, mask:FILE the mean in a region."""

    default: ClassVar[str] = "mean"
    method: ClassVar[str] = "hirescam"  # Grad-CAM averages gradients over the image: no position
    placed: ClassVar[bool] = True

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str], ending: Ending) -> bool:
        shape = tuple(getattr(output, "shape", ()))
        if labels and looks_like_boxes(output, len(labels)):
            return False
        return len(shape) == 3 and min(shape[1:]) > 1 and max(shape[1:]) <= 4 * min(shape[1:]) and not ending.activation

    def parse(self, texts: Sequence[str]) -> list[TargetSpec]:
        return distinct(list(dict.fromkeys(self._parse(text.strip()) for text in texts)))

    def _parse(self, text: str) -> TargetSpec:
        if text == "mean":
            return TargetSpec("mean")
        name, kind, position = split(text)
        if name or not kind:
            raise UnknownName(
                f"no target '{text}': {self.name} has a value per position and no classes",
                "--target mean, --target point:120,80 or --target mask:FILE",
            )
        if kind == "mask":
            return TargetSpec(slug(f"mask {Path(position).stem}"), mask=check_mask(position))
        return TargetSpec(slug(f"point{position}"), point=parse_point(text, position))

    def rows(self, output: Any, count: int) -> Tensor:
        from camviz.hooks.capture import first_tensor

        tensor = first_tensor(output)
        if tensor is not None and tensor.ndim == 4 and tensor.shape[1] == 1:
            tensor = tensor[:, 0]
        if tensor is None or tensor.ndim != 3 or tensor.shape[0] != count:
            raise ModelError(
                f"the output of {self.name} for {count} image(s) is {tasks.described(output)}, "
                "not a value per position",
                f"--task sets the task: {', '.join(TASKS.names())}",
            )
        return tensor.float()

    def choose(self, spec: tasks.TargetSpec, row: Tensor, view: View) -> list[Target]:
        assert isinstance(spec, TargetSpec)
        shape = (row.shape[0], row.shape[1])
        region, marks, label = np.ones(shape, np.bool_), [], "mean"
        if spec.point or spec.mask:
            region = region_of(spec.point, spec.mask, shape, view)
            name = "value" if spec.point else "mean"
            label = f"value at {spec.point[0]:g},{spec.point[1]:g}" if spec.point else f"mean in {Path(spec.mask).stem}"
            value = float(row.detach().cpu().numpy()[region].mean())
            mark = Mark(f"{name} {value:.3g}", region=region)
            marks = [Mark(mark.text, point=share(spec.point, view))] if spec.point else [mark]
        return [Target(label, _reader(region), likely=lambda same: same, marks=tuple(marks))]


def _reader(region: Region) -> Callable[[Any], Tensor]:
    """Return a reader of the mean over a region (h, w) of values (…, h, w)."""
    import torch

    positions = torch.from_numpy(region)

    def pick(row: Tensor) -> Tensor:
        return row[..., positions.to(row.device)].mean(-1)

    return pick
