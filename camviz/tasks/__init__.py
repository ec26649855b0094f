"""What a model's output means: which scalars can be read from it, and by what names. One task per file.

Methods see scalars only. To add a task, write a class that derives from `Task` in a new file here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from camviz.errors import ModelError
from camviz.registry import Registry
from camviz.types import Model, Score, Target, View

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Wanted:
    """One target as asked for, before any output is known. `facet` stands for it in file names.

    `several`: it may mean any number of targets in one image, told apart by a number behind the facet.
    """

    facet: str
    several: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class References:
    """What targets may be compared with: `image(path)` is the model's row for another image, `words(text)` the
    embedding of a text; None where the model knows no words."""

    image: Callable[[str], Any]
    words: Callable[[str], Any] | None = None


@dataclass(frozen=True)
class Task(ABC):
    """One kind of model: the questions that can be put to it, and how its outputs answer them.

    `name` and `labels` are the model's; `default` is the target and `method` the method when nobody names one.
    Without a `score` the task reads the one that is usual for it.
    """

    name: str
    labels: tuple[str, ...] = ()
    score: Score | None = None
    min_score: float = 0.3

    default: ClassVar[str] = "top1"
    method: ClassVar[str] = "gradcam"
    prefixes: ClassVar[tuple[str, ...]] = ()  # of texts that only this task understands
    placed: ClassVar[bool] = False  # whether a target has its place in the image

    @staticmethod
    @abstractmethod
    def recognizes(output: Any, labels: Sequence[str]) -> bool:
        """Whether this is the output, for one image, of a model of this kind with these class names."""

    @abstractmethod
    def parse(self, texts: Sequence[str]) -> Sequence[Wanted]:
        """What the texts of --target mean, without torch; raises `UnknownName`."""

    def check(self, wanted: Sequence[Wanted], output: Any) -> None:  # noqa: B027 (some tasks refuse nothing)
        """Refuse what this model cannot answer; `output` is what it gives for one image, shapes only."""

    def complete(self, wanted: Sequence[Wanted], references: References) -> Sequence[Wanted]:
        """The targets with what they need from elsewhere: the rows of other images, or of words."""
        return wanted

    @abstractmethod
    def rows(self, output: Any, count: int) -> Tensor | Sequence[Any]:
        """A model's output as one row per image: a tensor (count, …), or a list. Raises `ModelError`."""

    @abstractmethod
    def choose(self, wanted: Wanted, row: Any, view: View) -> list[Target]:
        """The targets in one image's row; raises `InputError` when there is nothing to explain in it."""

    def attending(self, module: nn.Module, size: tuple[int, int]) -> AbstractContextManager[None]:
        """The model made ready, within the block, for inputs of (height, width)."""
        return nullcontext()


TASKS: Registry[type[Task]] = Registry("task", __name__)


def task_named(name: str, texts: Sequence[str]) -> str:
    """The task that is meant: a text such as "similar:cat.jpg" is an embedding's, whatever the model usually does."""
    if name in ("", "classification"):
        for entry in TASKS:
            if entry.call.prefixes and any(text.startswith(entry.call.prefixes) for text in texts):
                return entry.name
    return name


def task_of(model: Model, output: Any, texts: Sequence[str] = (), **settings: Any) -> Task:
    """The task of a model: as the texts of --target or itself say, or as its output (for one image) looks."""
    name = task_named(model.task, texts)
    name = name or next((entry.name for entry in TASKS if entry.call.recognizes(output, model.labels)), "")
    if not name:
        raise ModelError(
            f"what {model.name} gives is of no known kind: {described(output)}",
            f"--output-key chooses a part of it; --task says what it is: {', '.join(TASKS.names())}",
        )
    return TASKS.find(name).call(model.name, model.labels, **settings)


def described(output: Any) -> str:
    """An output in words: shapes of tensors, keys of mappings."""
    if hasattr(output, "shape"):
        return "×".join(map(str, output.shape)) or "a single number"
    if hasattr(output, "items"):
        return "{" + ", ".join(f"{key}: {described(value)}" for key, value in output.items()) + "}"
    if isinstance(output, (list, tuple)):
        return f"{type(output).__name__} of {', '.join(described(part) for part in output[:4]) or 'nothing'}"
    return type(output).__name__
