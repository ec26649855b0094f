"""Semantic segmentation: a score for every class at every place. The target is a class over a region."""

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
from camviz.tasks.classification import Wanted as WantedClass
from camviz.tasks.classification import check_range, distinct, label_of, parse_targets, slug
from camviz.types import Mark, Target, View

if TYPE_CHECKING:
    from torch import Tensor

Region = NDArray[np.bool_]
_BACKGROUND = ("background", "__background__", "bg")


@dataclass(frozen=True)
class Wanted(WantedClass):
    """A class where it is predicted, or at a `point` of the image, or in the region of a `mask` file.

    There, without a class, it is the one predicted most.
    """

    point: tuple[float, float] | None = None
    mask: str = ""


@TASKS.add("segmentation")
@dataclass(frozen=True)
class Segmentation(Task):
    """A class at every place: the mean of its score where it is predicted (Seg-Grad-CAM, arXiv:2002.11434).

    `top1` is the class predicted most, background aside; `point:120,80` a pixel of the image, `mask:FILE` the
    region that is not black in an image of the same size; 'dog@point:120,80' asks for a class there.
    """

    method: ClassVar[str] = "hirescam"  # a mean over the image, as Grad-CAM's, forgets which region it was
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
        return named or 0 < scores.shape[1] < scores.shape[2] * scores.shape[3]  # fewer classes than places

    def parse(self, texts: Sequence[str]) -> list[Wanted]:
        found: list[Wanted] = []
        for text in texts:
            found += [one for one in self._parse(text.strip()) if one not in found]
        return distinct(found)

    def _parse(self, text: str) -> list[Wanted]:
        name, kind, place = _split(text)
        if not kind:
            return [Wanted(one.facet, rank=one.rank, index=one.index, minus=one.minus) for one in self._classes(text)]
        if name and (len(named := self._classes(name)) != 1 or named[0].rank is not None):
            raise RequestError(f"no target '{text}': one class at a place", f"--target 'cat@{kind}:{place}'")
        wanted = Wanted(slug(text)) if not name else Wanted(slug(text), index=named[0].index, minus=named[0].minus)
        if kind == "mask":
            if not Path(place).is_file():
                raise RequestError(f"no mask file '{place}'", "--target mask:FILE, an image: not black is the region")
            return [replace(wanted, facet=slug(f"{name} mask {Path(place).stem}"), mask=place)]
        point = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*", place)
        if not point:
            raise RequestError(
                f"no target '{text}': a point is two numbers", "--target point:120,80, x and y in pixels"
            )
        return [replace(wanted, facet=slug(f"{name} {kind}{place}"), point=(float(point[1]), float(point[2])))]

    def _classes(self, text: str) -> list[WantedClass]:
        return parse_targets([text], self.labels, self.name)

    def check(self, wanted: Sequence[tasks.Wanted], output: Any) -> None:
        scores = _scores(output)
        if scores is None:
            return
        classes = max(scores.shape[1], 2)
        if self.labels and len(self.labels) != classes:
            raise RequestError(
                f"{len(self.labels)} class names for {self.name}, which has {classes} classes",
                "--labels FILE with one name per class, the background included, in the order of training",
            )
        check_range([one for one in wanted if isinstance(one, Wanted)], classes, self.name)

    def rows(self, output: Any, count: int) -> Tensor:
        scores = _scores(output)
        if scores is None or len(scores) != count:
            raise ModelError(
                f"{self.name} gives {tasks.described(output)} for {count} image(s), "
                "not a score for every class at every place",
                f"--task says what it is: {', '.join(TASKS.names())}",
            )
        scores = scores.float()
        if scores.shape[1] == 1:  # one logit at every place: a class and its background, whose softmax is its sigmoid
            import torch

            scores = torch.cat([-scores / 2, scores / 2], 1)
        return scores

    def choose(self, wanted: tasks.Wanted, row: Tensor, view: View) -> list[Target]:
        assert isinstance(wanted, Wanted)
        predicted = row.detach().argmax(0).cpu().numpy()
        index, marks = wanted.index, []
        if wanted.point or wanted.mask:
            region = (
                self._point(wanted.point, predicted, view) if wanted.point else _masked(wanted.mask, predicted, view)
            )
            if index is None:
                index = int(np.bincount(predicted[region]).argmax())
            if wanted.point:
                marks = [Mark(point=_share(wanted.point, view)), Mark(region=predicted == index)]
        else:
            index = self._ranked(wanted.rank, predicted) if index is None else index
            region = predicted == index
            if not region.any():
                raise InputError(
                    f"no '{label_of(index, self.labels)}' is predicted; there is {self._listed(predicted)}",
                    "--target top1 takes the largest; point:X,Y asks for a place, 'CLASS@point:X,Y' for a class there",
                )
        label = label_of(index, self.labels)
        if wanted.minus is not None:
            label = f"{label} vs {label_of(wanted.minus, self.labels)}"
        pick = _reader(region, index, wanted.minus)
        likely = float(_reader(region, index, None)(_softmax(row.detach())))
        marks = marks or [Mark(f"{label} {likely:.0%}", region=region)]
        if wanted.point:
            marks[0] = replace(marks[0], text=f"{label} {likely:.0%}")
        if wanted.point:
            label += f" at {wanted.point[0]:g},{wanted.point[1]:g}"
        elif wanted.mask:
            label += f" in {Path(wanted.mask).stem}"
        facts = {"region": round(float(region.mean()), 6)}
        return [Target(label, pick, self.score or "logit", index, likely, _softmax, tuple(marks), facts)]

    def _ranked(self, rank: int | None, predicted: NDArray[np.int64]) -> int:
        """The class of a rank by area, background aside unless there is nothing else."""
        found = [index for index in _by_area(predicted) if not self._background(index)] or _by_area(predicted)
        assert rank is not None
        if rank >= len(found):
            raise InputError(
                f"no class of rank {rank + 1}: there is {self._listed(predicted)}",
                f"--target top{len(found)} is the last",
            )
        return found[rank]

    def _background(self, index: int) -> bool:
        return index == 0 and (not self.labels or self.labels[0].casefold() in _BACKGROUND)

    def _listed(self, predicted: NDArray[np.int64]) -> str:
        found = _by_area(predicted)
        shares = [f"'{label_of(i, self.labels)}' {(predicted == i).mean():.0%}" for i in found[:6]]
        return ", ".join(shares) + (", …" if len(found) > 6 else "")

    def _point(self, point: tuple[float, float], predicted: NDArray[np.int64], view: View) -> Region:
        """The one place that holds a pixel."""
        width, height = view.image
        text = f"{point[0]:g},{point[1]:g}"
        if not (point[0] < width and point[1] < height):
            raise InputError(
                f"point {text} is outside the image of {width}×{height}", f"--target point:{width // 2},{height // 2}"
            )
        x, y = _share(point, view)
        if not (0 <= x < 1 and 0 <= y < 1):
            raise InputError(f"the model does not see the point {text}", "--fit whole or squash shows it all")
        region = np.zeros(predicted.shape, np.bool_)
        region[int(y * predicted.shape[0]), int(x * predicted.shape[1])] = True
        return region


def _split(text: str) -> tuple[str, str, str]:
    """(class, "point" or "mask" or "", place) of a target's text."""
    for kind in ("point", "mask"):
        if text.startswith(f"{kind}:"):
            return "", kind, text[len(kind) + 1 :]
        name, found, place = text.partition(f"@{kind}:")
        if found:
            return name.strip(), kind, place
    return text, "", ""


def _scores(output: Any) -> Tensor | None:
    """Scores (n, classes, h, w): the first tensor, or what queries with classes and masks add up to (MaskFormer)."""
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
    """The mean over a region (h, w) of a class's scores (…, classes, h, w), less those of another."""
    import torch

    places = torch.from_numpy(region)

    def pick(row: Tensor) -> Tensor:
        values = row[..., index, :, :] if minus is None else row[..., index, :, :] - row[..., minus, :, :]
        return values[..., places.to(row.device)].mean(-1)

    return pick


def _by_area(predicted: NDArray[np.int64]) -> list[int]:
    """The classes predicted anywhere, the largest first."""
    counts = np.bincount(predicted.ravel())
    return [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]


def _share(point: tuple[float, float], view: View) -> tuple[float, float]:
    """Where in the view a pixel's middle is, in shares of it."""
    left, top, right, bottom = view.box
    return (point[0] + 0.5 - left) / (right - left), (point[1] + 0.5 - top) / (bottom - top)


def _masked(path: str, predicted: NDArray[np.int64], view: View) -> Region:
    """The places whose middle lies in the region of a mask file the size of the image."""
    mask = read_mask(Path(path))
    if mask.shape[::-1] != view.image:
        sizes = [f"{width}×{height}" for width, height in (mask.shape[::-1], view.image)]
        raise InputError(f"mask '{path}' is {sizes[0]}, the image {sizes[1]}", "a mask has the image's size")
    height, width = predicted.shape
    columns = np.floor([view.point((x + 0.5) / width, 0)[0] for x in range(width)]).astype(int)
    rows = np.floor([view.point(0, (y + 0.5) / height)[1] for y in range(height)]).astype(int)
    there = np.outer((rows >= 0) & (rows < mask.shape[0]), (columns >= 0) & (columns < mask.shape[1]))
    region: Region = mask[np.ix_(rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1))] & there
    if not region.any():
        raise InputError(
            f"the region of mask '{path}' is empty, or too small for places of {width}×{height}",
            "what is not black is the region; point:X,Y asks for one place",
        )
    return region


def read_mask(path: Path) -> Region:
    """A mask (H, W) from an image file: what is not black, or of a palette not its first color."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            values = np.asarray(image.convert("RGB") if image.mode in ("RGBA", "CMYK", "YCbCr") else image)
    except Exception as error:  # decoders fail in many ways
        raise InputError(f"mask '{path}' cannot be read: {error}", "PNG, 0 outside the region") from error
    return np.asarray(values.reshape(*values.shape[:2], -1).any(2), np.bool_)
