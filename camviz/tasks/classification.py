"""Classification: one row of logits per image."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from camviz import tasks
from camviz.errors import ModelError, RequestError, UnknownName, first_of, fold, spell, unknown
from camviz.io.texts import as_index
from camviz.tasks import TASKS, Task
from camviz.tasks.outputs import Ending
from camviz.types import Score, Target, View

if TYPE_CHECKING:
    from torch import Tensor


W = TypeVar("W", bound=tasks.TargetSpec)


@dataclass(frozen=True)
class TargetSpec(tasks.TargetSpec):
    """The class of a `rank` (0 is the top-1 class), or the class `index`; `minus` is the other class of a contrast."""

    rank: int | None = None
    index: int | None = None
    minus: int | None = None


def parse_targets(texts: Sequence[str], labels: Sequence[str], name: str) -> list[TargetSpec]:
    """Parse the values of --target: top1, top3, an index, a class name, "cat vs dog".

    Raises `UnknownName` for a class that does not exist, or a name that several classes share.
    """
    targets: list[TargetSpec] = []
    for text in texts:
        for target in _parse(text.strip(), labels, name):
            if target not in targets:
                targets.append(target)
    return distinct(targets)


def _parse(text: str, labels: Sequence[str], name: str) -> list[TargetSpec]:
    if top := re.fullmatch(r"top-?(\d+)", text, re.IGNORECASE):
        ranks = int(top[1])
        if ranks < 1 or (labels and ranks > len(labels)):
            raise UnknownName(f"no target '{text}': {name} has {len(labels) or 'some'} classes", "--target top1")
        return [TargetSpec(f"top{rank + 1}", rank=rank) for rank in range(ranks)]
    if parts := re.fullmatch(r"(.+?)\s+vs\.?\s+(.+)", text):
        if _exact(text, labels) is None:
            index, minus = (find_class(part.strip(), labels, name) for part in parts.groups())
            return [TargetSpec(slug(text), index=index, minus=minus)]
    elif "," in text and _exact(text, labels) is None:
        return [target for part in text.split(",") if part.strip() for target in _parse(part.strip(), labels, name)]
    return [TargetSpec(slug(text), index=find_class(text, labels, name))]


def distinct(specs: Sequence[W]) -> list[W]:
    """Return the targets with distinct facets: a number is appended where two texts shorten to the same."""
    taken: set[str] = set()
    renamed = []
    for target in specs:
        candidates = (f"{target.facet}-{number}" for number in count(2))
        facet = target.facet if target.facet not in taken else next(name for name in candidates if name not in taken)
        taken.add(facet)
        renamed.append(replace(target, facet=facet))
    return renamed


def slug(text: str) -> str:
    """Return the text as a part of a file name."""
    return re.sub(r"[^\w.+-]+|_", "-", text).strip("-") or "class"


def _exact(text: str, labels: Sequence[str]) -> int | None:
    folded = text.casefold()
    matches = [index for index, label in enumerate(labels) if label.casefold() == folded]
    return matches[0] if len(matches) == 1 else None


def find_class(text: str, labels: Sequence[str], name: str) -> int:
    """Return the index of the class `text`: an index, a name, or a unique word, prefix or part of a name."""
    if text.isdecimal():
        index = as_index(text)
        if index is None or (labels and index >= len(labels)):
            raise UnknownName(
                f"no class {text} in {name}",
                f"it has {len(labels)} classes, 0 to {len(labels) - 1}" if labels else "--target 0",
            )
        return index
    if not labels:
        raise UnknownName(
            f"no class '{text}': the class names of {name} are unknown", "--labels FILE, or an index: --target 0"
        )
    typed = spell(text)
    names = [spell(label) for label in labels]
    for matches in (
        [i for i, label in enumerate(labels) if label == text],
        [i for i, label in enumerate(labels) if label.casefold() == text.casefold()],
        [i for i, label in enumerate(names) if label == typed],
        [i for i, label in enumerate(labels) if fold(label) == fold(text)],
        [i for i, label in enumerate(names) if re.search(rf"\b{re.escape(typed)}\b", label)],
        [i for i, label in enumerate(names) if label.startswith(typed)],
        [i for i, label in enumerate(names) if typed in label],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            listed = first_of(f"{i} '{labels[i]}'" for i in matches)
            raise UnknownName(f"class '{text}' matches {len(matches)} classes of {name}: {listed}", "type a full name")
    raise unknown("class", text, labels, name)


def check_range(specs: Sequence[TargetSpec], classes: int, name: str) -> None:
    """Raise `UnknownName` for a class index or rank beyond the number of classes."""
    for target in specs:
        for index in (target.index, target.minus, target.rank):
            if index is not None and index >= classes:
                raise UnknownName(f"no class {index} in {name}", f"it has {classes} classes, 0 to {classes - 1}")


def choose(
    spec: TargetSpec, row: Tensor, labels: Sequence[str], score: str | None = None, name: str = "the model"
) -> Target:
    """Return the target for one image, whose logits are `row` (classes,)."""
    check_range([spec], row.shape[0], name)
    probabilities = row.detach().softmax(0)
    index = spec.index if spec.rank is None else int(row.detach().topk(spec.rank + 1).indices[spec.rank])
    assert index is not None
    label = label_of(index, labels)
    if spec.minus is not None:
        label = f"{label} vs {label_of(spec.minus, labels)}"
    kind: Score = "prob" if score == "prob" else "logit"
    best = int(probabilities.argmax())
    facts = {"predicted": label_of(best, labels), "confidence": float(probabilities[best])}
    chance = float(probabilities[index]) if spec.minus is None else None  # a difference of logits has no probability
    return Target(label, _picker(index, spec.minus), kind, index, chance, facts=facts)


@TASKS.add("classification")
@dataclass(frozen=True)
class Classification(Task):
    """One row of logits per image, mutually exclusive classes."""

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str], ending: Ending) -> bool:
        row = values_per_image(output) or 0
        return row > 1 and (row == len(labels) or not ending.embedding) and ending.activation != "sigmoid"

    def parse(self, texts: Sequence[str]) -> list[TargetSpec]:
        return parse_targets(texts, self.labels, self.name)

    def check(self, specs: Sequence[tasks.TargetSpec], output: Any) -> None:
        classes = values_per_image(output)
        if classes is None:
            raise self._mismatch(output, 1)
        if self.labels and len(self.labels) != classes:
            raise RequestError(
                f"{len(self.labels)} class names for {self.name}, which has {classes} classes",
                "--labels FILE with one name per class, in the order of training",
            )
        check_range([target for target in specs if isinstance(target, TargetSpec)], classes, self.name)

    def rows(self, output: Any, count: int) -> Tensor:
        from camviz.hooks.capture import first_tensor

        tensor = first_tensor(output)
        if tensor is not None and tensor.ndim == 4 and tensor.shape[0] == count:
            tensor = tensor.mean((2, 3))  # a convolutional classifier, at a larger input than it was surveyed with
        if tensor is None or tensor.ndim != 2 or tensor.shape[0] != count:
            raise self._mismatch(output, count)
        return tensor.float()

    def _mismatch(self, output: Any, count: int) -> ModelError:
        return ModelError(
            f"the output of {self.name} for {count} image(s) is {tasks.described(output)}, "
            "not one row of class scores per image",
            f"--task sets the task: {', '.join(TASKS.names())}",
        )

    def choose(self, spec: tasks.TargetSpec, row: Tensor, view: View) -> list[Target]:
        assert isinstance(spec, TargetSpec)
        return [choose(spec, row, self.labels, self.score, self.name)]


def values_per_image(output: Any) -> int | None:
    """Return how many values an output has for one image, (1, c) or (1, c, 1, 1); None for other outputs."""
    from camviz.hooks.capture import first_tensor

    tensor = first_tensor(output)
    if tensor is None or isinstance(output, list) or not tensor.ndim or tensor.shape[0] != 1:
        return None
    return int(tensor[0].numel()) if tensor.ndim == 1 or set(tensor.shape[2:]) <= {1} else None


def label_of(index: int, labels: Sequence[str]) -> str:
    """Return the name of the class, or "class 7" when names are unknown."""
    return labels[index] if index < len(labels) else f"class {index}"


def _picker(index: int, minus: int | None) -> Callable[[Tensor], Tensor]:
    def pick(values: Tensor) -> Tensor:
        return values[..., index] if minus is None else values[..., index] - values[..., minus]

    return pick
