"""Semantic segmentation: a score per class and position. A target is a class over a region."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from camviz import tasks
from camviz.errors import InputError, ModelError, RequestError
from camviz.tasks import TASKS, Task
from camviz.tasks.classification import TargetSpec as ClassTarget
from camviz.tasks.classification import check_range, distinct, label_of, parse_targets, slug
from camviz.types import Mark, Target, View

if TYPE_CHECKING:
    from torch import Tensor

Region = NDArray[np.bool_]
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
    prefixes: ClassVar[tuple[str, ...]] = ("point:", "mask:")
    placed: ClassVar[bool] = True

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str]) -> bool:
        scores = _scores(output)
        if scores is None:
            return False
        named = isinstance(output, Mapping) and (
            "out" in output or "logits" in output or "masks_queries_logits" in output
        )
        return named or 0 < scores.shape[1] < scores.shape[2] * scores.shape[3]  # fewer classes than positions

    def parse(self, texts: Sequence[str]) -> list[TargetSpec]:
        targets: list[TargetSpec] = []
        for text in texts:
            targets += [target for target in self._parse(text.strip()) if target not in targets]
        return distinct(targets)

    def _parse(self, text: str) -> list[TargetSpec]:
        name, kind, place = _split(text)
        if not kind:
            return [
                TargetSpec(target.facet, rank=target.rank, index=target.index, minus=target.minus)
                for target in self._classes(text)
            ]
        if name and (len(named := self._classes(name)) != 1 or named[0].rank is not None):
            raise RequestError(f"no target '{text}': it must name one class", f"--target 'cat@{kind}:{place}'")
        spec = (
            TargetSpec(slug(text)) if not name else TargetSpec(slug(text), index=named[0].index, minus=named[0].minus)
        )
        if kind == "mask":
            if not Path(place).is_file():
                raise RequestError(
                    f"no mask file '{place}'", "--target mask:FILE, an image that is nonzero in the region"
                )
            return [replace(spec, facet=slug(f"{name} mask {Path(place).stem}"), mask=place)]
        point = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*", place)
        if not point:
            raise RequestError(
                f"no target '{text}': a point has two coordinates", "--target point:120,80, x and y in pixels"
            )
        return [replace(spec, facet=slug(f"{name} {kind}{place}"), point=(float(point[1]), float(point[2])))]

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
        predicted = row.detach().argmax(0).cpu().numpy()
        index, marks = spec.index, []
        if spec.point or spec.mask:
            region = self._point(spec.point, predicted, view) if spec.point else _masked(spec.mask, predicted, view)
            if index is None:
                index = int(np.bincount(predicted[region]).argmax())
            if spec.point:
                marks = [Mark(point=_share(spec.point, view)), Mark(region=predicted == index)]
        else:
            index = self._ranked(spec.rank, predicted) if index is None else index
            region = predicted == index
            if not region.any():
                raise InputError(
                    f"'{label_of(index, self.labels)}' is predicted nowhere; predicted are {self._listed(predicted)}",
                    "--target top1 takes the largest region; 'CLASS@point:X,Y' explains a class at a position",
                )
        label = label_of(index, self.labels)
        if spec.minus is not None:
            label = f"{label} vs {label_of(spec.minus, self.labels)}"
        pick = _reader(region, index, spec.minus)
        likely = float(_reader(region, index, None)(_softmax(row.detach())))
        marks = marks or [Mark(f"{label} {likely:.0%}", region=region)]
        if spec.point:
            marks[0] = replace(marks[0], text=f"{label} {likely:.0%}")
        if spec.point:
            label += f" at {spec.point[0]:g},{spec.point[1]:g}"
        elif spec.mask:
            label += f" in {Path(spec.mask).stem}"
        facts = {"region": round(float(region.mean()), 6)}
        return [Target(label, pick, self.score or "logit", index, likely, _softmax, tuple(marks), facts)]

    def _ranked(self, rank: int | None, predicted: NDArray[np.int64]) -> int:
        """Return the class of a rank by area, without the background unless nothing else is predicted."""
        ranking = [index for index in _by_area(predicted) if not self._background(index)] or _by_area(predicted)
        assert rank is not None
        if rank >= len(ranking):
            raise InputError(
                f"no class of rank {rank + 1}: predicted are {self._listed(predicted)}",
                f"--target top{len(ranking)} is the last",
            )
        return ranking[rank]

    def _background(self, index: int) -> bool:
        return index == 0 and (not self.labels or self.labels[0].casefold() in _BACKGROUND)

    def _listed(self, predicted: NDArray[np.int64]) -> str:
        ranking = _by_area(predicted)
        shares = [f"'{label_of(i, self.labels)}' {(predicted == i).mean():.0%}" for i in ranking[:6]]
        return ", ".join(shares) + (", …" if len(ranking) > 6 else "")

    def _point(self, point: tuple[float, float], predicted: NDArray[np.int64], view: View) -> Region:
        """Return the position that contains a pixel of the image."""
        width, height = view.image
        text = f"{point[0]:g},{point[1]:g}"
        if not (point[0] < width and point[1] < height):
            raise InputError(
                f"point {text} is outside the image of {width}×{height}", f"--target point:{width // 2},{height // 2}"
            )
        x, y = _share(point, view)
        if not (0 <= x < 1 and 0 <= y < 1):
            raise InputError(f"point {text} is outside the model's crop", "--fit whole or --fit squash shows all")
        region = np.zeros(predicted.shape, np.bool_)
        region[int(y * predicted.shape[0]), int(x * predicted.shape[1])] = True
        return region


def _split(text: str) -> tuple[str, str, str]:
    """Split a target into (class, "point" or "mask" or "", position)."""
    for kind in ("point", "mask"):
        if text.startswith(f"{kind}:"):
            return "", kind, text[len(kind) + 1 :]
        name, at, place = text.partition(f"@{kind}:")
        if at:
            return name.strip(), kind, place
    return text, "", ""


def _scores(output: Any) -> Tensor | None:
    """Return the scores (n, classes, h, w): the first tensor, or the sum over queries of class × mask (MaskFormer)."""
    from camviz.hooks.capture import first_tensor

    if isinstance(output, Mapping) and output.get("masks_queries_logits") is not None:
        masks, classes = output["masks_queries_logits"].float().sigmoid(), output["class_queries_logits"].float()
        scores: Tensor = (classes.softmax(-1)[..., :-1].mT @ masks.flatten(2)).unflatten(2, masks.shape[2:])
        return scores
    tensor = output.get("logits") if isinstance(output, Mapping) and "logits" in output else first_tensor(output)
    return tensor if tensor is not None and tensor.ndim == 4 else None


def _softmax(row: Tensor) -> Tensor:
    return row.softmax(-3)


def _reader(region: Region, index: int, minus: int | None) -> Callable[[Tensor], Tensor]:
    """Return a reader of a class's mean score over a region (h, w), minus that of another class for a contrast."""
    import torch

    places = torch.from_numpy(region)

    def pick(row: Tensor) -> Tensor:
        values = row[..., index, :, :] if minus is None else row[..., index, :, :] - row[..., minus, :, :]
        return values[..., places.to(row.device)].mean(-1)

    return pick


def _by_area(predicted: NDArray[np.int64]) -> list[int]:
    """Return the predicted classes, the largest region first."""
    counts = np.bincount(predicted.ravel())
    return [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]


def _share(point: tuple[float, float], view: View) -> tuple[float, float]:
    """Return the position of a pixel's center as fractions of the view."""
    left, top, right, bottom = view.box
    return (point[0] + 0.5 - left) / (right - left), (point[1] + 0.5 - top) / (bottom - top)


def _masked(path: str, predicted: NDArray[np.int64], view: View) -> Region:
    """Return the positions whose centers lie in the region of a mask file of the image's size."""
    mask = read_mask(Path(path))
    if mask.shape[::-1] != view.image:
        sizes = [f"{width}×{height}" for width, height in (mask.shape[::-1], view.image)]
        raise InputError(
            f"mask '{path}' is {sizes[0]}, the image {sizes[1]}",
            "--target mask:FILE of the image's size",
        )
    height, width = predicted.shape
    columns = np.floor([view.point((x + 0.5) / width, 0)[0] for x in range(width)]).astype(int)
    rows = np.floor([view.point(0, (y + 0.5) / height)[1] for y in range(height)]).astype(int)
    inside = np.outer((rows >= 0) & (rows < mask.shape[0]), (columns >= 0) & (columns < mask.shape[1]))
    region: Region = mask[np.ix_(rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1))] & inside
    if not region.any():
        raise InputError(
            f"mask '{path}' has no nonzero pixel, or a region too small for a grid of {width}×{height}",
            "--target point:X,Y explains a single position",
        )
    return region


def read_mask(path: Path) -> Region:
    """Read a mask (H, W) from an image file: nonzero pixels, or every palette color but the first."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            values = np.asarray(image.convert("RGB") if image.mode in ("RGBA", "CMYK", "YCbCr") else image)
    except Exception as error:  # decoders fail in many ways
        raise InputError(f"mask '{path}' cannot be read: {error}", "a PNG that is 0 outside the region") from error
    return np.asarray(values.reshape(*values.shape[:2], -1).any(2), np.bool_)
