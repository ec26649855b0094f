"""Where a classifier is wrong: what it said, what was true, and what made it say so."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError, ModelError, RequestError
from camviz.tasks.classification import Classification, label_of
from camviz.types import Image, Map, Mark, SaliencyMap, View

if TYPE_CHECKING:
    from torch import Tensor

    from camviz.engine.explain import Explainer

_STEPS, _FINER = 40, 8  # of the input are removed in so many steps, the one that turns the answer in so many


# what is true


@dataclass(frozen=True)
class Known:
    """The true class of images: by the folder they are in, or from a table."""

    labels: Sequence[str]
    table: Mapping[str, str] | None = None  # by path, by the end of a path, or by name

    def index(self, path: Path) -> int:
        """The class of an image; raises `InputError` where that is not known."""
        if self.table is None:
            text, hint = (
                path.absolute().parent.name,
                "--labels-from FILE.csv says what they are; --labels names classes",
            )
        else:
            ends = ["/".join(path.parts[-count:]) for count in range(len(path.parts), 0, -1)]
            found = [self.table[key] for key in (path.as_posix(), *ends, path.stem) if key in self.table]
            if not found:
                raise InputError(f"'{path}' is not in the table of labels", "a line of it is: image,label")
            text, hint = found[0], "the names of --labels are those that count"
        index = class_named(text, self.labels)
        if index is None:
            raise InputError(f"'{path}': '{text}' is no class of the model", hint)
        return index

    def check(self, paths: Iterable[Path]) -> None:
        """Raise `RequestError` when of none of the images, if there are any, the class is known."""
        first: InputError | None = None
        for path in paths:
            try:
                self.index(path)
            except InputError as error:
                first = first or error
            else:
                return
        if first:
            raise RequestError(f"no image has a known class: {first.message}", first.hint)


def class_named(text: str, labels: Sequence[str]) -> int | None:
    """The class of that name, whatever its capitals and signs, or of that index; None where there is none."""
    plain = _plain(text)
    named = [number for number, label in enumerate(labels) if _plain(label) == plain]
    named = named or [n for n, label in enumerate(labels) if plain in (_plain(part) for part in label.split(","))]
    if len(named) == 1:
        return named[0]
    if re.fullmatch(r"\d+", text) and (not labels or int(text) < len(labels)):
        return int(text)
    return None


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def read_table(path: Path) -> dict[str, str]:
    """Labels by image from CSV: columns image (path, file, …) and label (class, …), else the first two."""
    if not path.is_file():
        raise RequestError(f"no table of labels '{path}'", "--labels-from folders, or a CSV file: image,label")
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = [line for line in csv.reader(file) if any(line)]
    if not lines or any(len(line) < 2 for line in lines):
        raise RequestError(f"'{path}' is no table of labels", "a line of it is: image,label")
    head = [word.strip().casefold() for word in lines[0]]
    images = [n for n, word in enumerate(head) if word in ("image", "picture", "path", "file", "filename", "name")]
    labels = [n for n, word in enumerate(head) if word in ("label", "class", "target", "truth", "true")]
    first, second = (images[0], labels[0]) if images and labels else (0, 1)
    body = lines[1:] if images and labels else lines
    return {line[first].strip(): line[second].strip() for line in body}


# what was said


@dataclass(frozen=True)
class Answer:
    """What the model says of one image, and how sure it is of that and of the truth."""

    predicted: int
    probability: float
    true: int
    true_probability: float

    @property
    def right(self) -> bool:
        """Whether it is what is true."""
        return self.predicted == self.true


def answers(explainer: Explainer, inputs: Sequence[NDArray[np.float32]], true: Sequence[int]) -> list[Answer]:
    """What a classifier says of a batch."""
    probabilities = _logits(explainer, np.stack(inputs)).softmax(1)
    found = []
    for row, index in zip(probabilities, true, strict=True):
        if index >= len(row):
            raise InputError(f"class {index} is beyond the {len(row)} classes of the model", "--labels FILE")
        best = int(row.argmax())
        found.append(Answer(best, float(row[best]), index, float(row[index])))
    return found


def check_classifier(explainer: Explainer) -> None:
    """Raise `ModelError` for a model that does not name one class per image."""
    if not isinstance(explainer.task, Classification):
        kind = type(explainer.task).__name__.lower()
        raise ModelError(f"{explainer.model.name} is for {kind}: it names no one class", "--task classification")


def _logits(explainer: Explainer, batch: NDArray[np.float32]) -> Tensor:
    import torch

    from camviz.engine.forward import Ask, run_forward

    ask = Ask(explainer.model, (), False, explainer.task, explainer.job.precision)
    rows = run_forward(ask, torch.from_numpy(batch).to(explainer.model.device)).rows
    assert isinstance(rows, torch.Tensor)
    return rows


# why


def explained(
    explainer: Explainer,
    image: Image,
    values: NDArray[np.float32],
    view: View,
    answer: Answer,
    removal: bool = True,
) -> list[SaliencyMap]:
    """The maps of what was said, of what is true, and of the one less the other; the region that turns the answer."""
    texts = [str(answer.predicted), str(answer.true), f"{answer.predicted} vs {answer.true}"]
    wanted = explainer.task.parse(texts)
    [maps] = explainer.maps([image], [values], [view], lambda _passed: wanted)
    if isinstance(maps, InputError):
        raise maps
    each = len(maps) // len(wanted)
    said, truth, contrast = (maps[number * each] for number in range(len(wanted)))
    if removal:
        said = _turned(explainer, values, said, answer.predicted)
    sides = zip((said, truth, contrast), ("predicted", "true", "contrast"), strict=True)
    return [replace(one, facts={**one.facts, "side": side}) for one, side in sides]


def _turned(explainer: Explainer, values: NDArray[np.float32], map: SaliencyMap, index: int) -> SaliencyMap:
    """The map with the region, outlined, and what the answer is without it."""
    found = smallest_region(explainer, values, map.values, index)
    if found is None:
        return replace(map, facts={**map.facts, "removal": None})
    region, becomes = found
    labels = explainer.task.labels
    told = {"share": round(float(region.mean()), 4), "becomes": label_of(becomes, labels)}
    return replace(map, marks=(*map.marks, Mark(region=region)), facts={**map.facts, "removal": told})


def smallest_region(
    explainer: Explainer, values: NDArray[np.float32], map: Map, index: int
) -> tuple[NDArray[np.bool_], int] | None:
    """The fewest of the hottest pixels, in steps of half a per cent, without which the answer is another one.

    Greedy over the map: pixels of the input go in the order of the map at their place, the hottest first; what is
    gone is zero to the model: the mean color of its normalization, black where it has none. Gives the region
    (H, W) and the new answer; None where the answer never turns.
    """
    order = _order(map, values.shape[1:])
    low, high = 0.0, 1.0
    becomes: int | None = None
    for steps in (_STEPS, _FINER):
        shares = [low + (high - low) * step / steps for step in range(1, steps + 1)]
        first = _first(explainer, values, order, shares, index)
        if first is None:
            return None
        number, becomes = first
        low, high = shares[number - 1] if number else low, shares[number]
    assert becomes is not None
    return order < round(high * order.size), becomes


def _order(map: Map, size: tuple[int, ...]) -> NDArray[np.intp]:
    """The place of each pixel (H, W) of the input, 0 for the hottest."""
    height, width = size
    view = View((width, height), (0, 0, width, height), (width, height))
    flat = np.nan_to_num(view.place(map), nan=-np.inf).ravel()
    places = np.empty(flat.size, np.intp)
    places[np.argsort(-flat, kind="stable")] = np.arange(flat.size)
    return places.reshape(height, width)


def _first(
    explainer: Explainer, values: NDArray[np.float32], order: NDArray[np.intp], shares: Sequence[float], index: int
) -> tuple[int, int] | None:
    """The number of the first share without which the answer is not `index`, and what it is then."""
    size = explainer.ask.chunks.size
    for start in range(0, len(shares), size):
        part = shares[start : start + size]
        gone = np.stack([order < round(share * order.size) for share in part])
        batch = np.where(gone[:, None], np.float32(0), values[None])
        for number, best in enumerate(_logits(explainer, batch).argmax(1).tolist()):
            if best != index:
                return start + number, best
    return None
