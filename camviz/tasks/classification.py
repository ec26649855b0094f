"""Classification: one row of logits per image. Which class, and how its score is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from camviz import tasks
from camviz.errors import ModelError, RequestError, UnknownName, unknown
from camviz.tasks import TASKS, Task
from camviz.types import Score, Target, View

if TYPE_CHECKING:
    from torch import Tensor


W = TypeVar("W", bound=tasks.Wanted)


@dataclass(frozen=True)
class Wanted(tasks.Wanted):
    """Either the class of a `rank` (0: the likeliest), or a class `index`, less the class `minus` when there is one."""

    rank: int | None = None
    index: int | None = None
    minus: int | None = None


def parse_targets(texts: Sequence[str], labels: Sequence[str], name: str) -> list[Wanted]:
    """What the texts of --target mean: top1, top3, an index, a class name, "cat vs dog".

    Raises `UnknownName` for a class that does not exist, or a name that several classes share.
    """
    found: list[Wanted] = []
    for text in texts:
        for one in _parse(text.strip(), labels, name):
            if one not in found:
                found.append(one)
    return distinct(found)


def _parse(text: str, labels: Sequence[str], name: str) -> list[Wanted]:
    if top := re.fullmatch(r"top-?(\d+)", text, re.IGNORECASE):
        ranks = int(top[1])
        if ranks < 1 or (labels and ranks > len(labels)):
            raise UnknownName(f"no target '{text}': {name} has {len(labels) or 'some'} classes", "--target top1")
        return [Wanted(f"top{rank + 1}", rank=rank) for rank in range(ranks)]
    if parts := re.fullmatch(r"(.+?)\s+vs\.?\s+(.+)", text):
        if _exact(text, labels) is None:
            index, minus = (find_class(part.strip(), labels, name) for part in parts.groups())
            return [Wanted(slug(text), index=index, minus=minus)]
    elif "," in text and _exact(text, labels) is None:
        return [one for part in text.split(",") if part.strip() for one in _parse(part.strip(), labels, name)]
    return [Wanted(slug(text), index=find_class(text, labels, name))]


def distinct(wanted: Sequence[W]) -> list[W]:
    """Two texts may shorten to one facet; a number tells them apart."""
    taken: set[str] = set()
    found = []
    for one in wanted:
        candidates = (f"{one.facet}-{number}" for number in count(2))
        facet = one.facet if one.facet not in taken else next(name for name in candidates if name not in taken)
        taken.add(facet)
        found.append(replace(one, facet=facet))
    return found


def slug(text: str) -> str:
    """What stands for a text in a file name."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("_") or "class"


def _exact(text: str, labels: Sequence[str]) -> int | None:
    folded = text.casefold()
    matches = [index for index, label in enumerate(labels) if label.casefold() == folded]
    return matches[0] if len(matches) == 1 else None


def find_class(text: str, labels: Sequence[str], name: str) -> int:
    """The index of the class that `text` means: an index, a name, or a unique word, prefix or part of one."""
    if text.isdecimal():
        index = int(text)
        if labels and index >= len(labels):
            raise UnknownName(f"no class {index} in {name}", f"it has {len(labels)} classes, 0 to {len(labels) - 1}")
        return index
    if not labels:
        raise UnknownName(
            f"no class '{text}': the class names of {name} are not known", "--labels FILE, or an index: --target 0"
        )
    folded = text.casefold()
    names = [label.casefold() for label in labels]
    for matches in (
        [i for i, label in enumerate(names) if label == folded],
        [i for i, label in enumerate(names) if re.search(rf"\b{re.escape(folded)}\b", label)],
        [i for i, label in enumerate(names) if label.startswith(folded)],
        [i for i, label in enumerate(names) if folded in label],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            listed = ", ".join(f"{i} '{labels[i]}'" for i in matches[:6]) + (", …" if len(matches) > 6 else "")
            raise UnknownName(f"class '{text}' could be {len(matches)} classes of {name}: {listed}", "type one of them")
    raise unknown("class", text, labels, name)


def check_range(wanted: Sequence[Wanted], classes: int, name: str) -> None:
    """Refuse targets beyond the classes that a model has."""
    for one in wanted:
        for index in (one.index, one.minus, one.rank):
            if index is not None and index >= classes:
                raise UnknownName(f"no class {index} in {name}", f"it has {classes} classes, 0 to {classes - 1}")


def choose(
    wanted: Wanted, row: Tensor, labels: Sequence[str], score: str | None = None, name: str = "the model"
) -> Target:
    """The target for one image: `row` holds its logits (classes,)."""
    check_range([wanted], row.shape[0], name)
    probabilities = row.detach().softmax(0)
    index = wanted.index if wanted.rank is None else int(row.detach().topk(wanted.rank + 1).indices[wanted.rank])
    assert index is not None
    label = label_of(index, labels)
    if wanted.minus is not None:
        label = f"{label} vs {label_of(wanted.minus, labels)}"
    kind: Score = "prob" if score == "prob" else "logit"
    best = int(probabilities.argmax())
    facts = {"predicted": label_of(best, labels), "confidence": float(probabilities[best])}
    chance = float(probabilities[index]) if wanted.minus is None else None  # a difference has none
    return Target(label, _picker(index, wanted.minus), kind, index, chance, facts=facts)


@TASKS.add("classification")
@dataclass(frozen=True)
class Classification(Task):
    """One row of logits per image, one class each."""

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str]) -> bool:
        from camviz.hooks.capture import first_tensor

        tensor = first_tensor(output)
        return tensor is not None and tensor.ndim == 2 and tensor.shape[1] > 1 and not isinstance(output, list)

    def parse(self, texts: Sequence[str]) -> list[Wanted]:
        return parse_targets(texts, self.labels, self.name)

    def check(self, wanted: Sequence[tasks.Wanted], output: Any) -> None:
        from camviz.hooks.capture import first_tensor

        tensor = first_tensor(output)
        if tensor is None or tensor.ndim != 2:
            return
        classes = tensor.shape[1]
        if self.labels and len(self.labels) != classes:
            raise RequestError(
                f"{len(self.labels)} class names for {self.name}, which has {classes} classes",
                "--labels FILE with one name per class, in the order of training",
            )
        check_range([one for one in wanted if isinstance(one, Wanted)], classes, self.name)

    def rows(self, output: Any, count: int) -> Tensor:
        from camviz.hooks.capture import first_tensor

        tensor = first_tensor(output)
        if tensor is None or tensor.ndim != 2 or tensor.shape[0] != count:
            raise ModelError(
                f"{self.name} gives {tasks.described(output)} for {count} image(s), "
                "not one row of class scores for each",
                f"--task says what it is: {', '.join(TASKS.names())}",
            )
        return tensor.float()

    def choose(self, wanted: tasks.Wanted, row: Tensor, view: View) -> list[Target]:
        assert isinstance(wanted, Wanted)
        return [choose(wanted, row, self.labels, self.score, self.name)]


def label_of(index: int, labels: Sequence[str]) -> str:
    """The class's name, or "class 7" when names are not known."""
    return labels[index] if index < len(labels) else f"class {index}"


def _picker(index: int, minus: int | None) -> Callable[[Tensor], Tensor]:
    def pick(values: Tensor) -> Tensor:
        return values[..., index] if minus is None else values[..., index] - values[..., minus]

    return pick
