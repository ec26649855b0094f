"""Tasks: which scalar scores can be read from a model's output, and how they are named. One task per file.

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
from camviz.tasks.outputs import Activation, Ending, Output
from camviz.types import Model, Score, Target, View

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class TargetSpec:
    """One requested target, parsed before any output is known. `facet` is its part of a file name.

    `several`: it may match any number of targets in one image; a number behind the facet tells them apart.
    """

    facet: str
    several: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class References:
    """What embeddings are compared with: `image(path)` returns the model's row for another image, `text(prompt)` the
    embedding of a text; `text` is None for a model without a text encoder."""

    image: Callable[[str], Any]
    text: Callable[[str], Any] | None = None


@dataclass(frozen=True)
class Task(ABC):
    """One kind of model: which targets it has, and how a target's score is read from an output.

    `name` and `labels` are the model's; `default` is the target and `method` the method when none is requested.
    Without a `score` the task reads its usual one.
    """

    name: str
    labels: tuple[str, ...] = ()
    score: Score | None = None
    min_score: float = 0.3
    activation: Activation = ""  # of the model itself, left out: rows are logits

    default: ClassVar[str] = "top1"
    method: ClassVar[str] = "gradcam"
    prefixes: ClassVar[tuple[str, ...]] = ()  # of targets that only this task has
    placed: ClassVar[bool] = False  # whether a target has a position in the image

    @staticmethod
    @abstractmethod
    def recognizes(output: Any, labels: Sequence[str], ending: Ending) -> bool:
        """Return whether `output`, for one image, comes from a model of this kind with these class names."""

    @staticmethod
    def structured(output: Any) -> bool:
        """Return whether `output` has several parts that belong together, such as boxes, scores and labels."""
        return False

    @abstractmethod
    def parse(self, texts: Sequence[str]) -> Sequence[TargetSpec]:
        """Parse the values of --target, without torch. Raises `UnknownName`."""

    def check(self, specs: Sequence[TargetSpec], output: Any) -> None:  # noqa: B027 (some tasks refuse nothing)
        """Raise for targets that this model does not have; `output` is for one image, and only its shapes count."""

    def complete(self, specs: Sequence[TargetSpec], references: References) -> Sequence[TargetSpec]:
        """Return the targets with the rows of their reference images or texts filled in."""
        return specs

    @abstractmethod
    def rows(self, output: Any, count: int) -> Tensor | Sequence[Any]:
        """Return the output as one row per image: a tensor (count, …), or a list. Raises `ModelError`."""

    @abstractmethod
    def choose(self, spec: TargetSpec, row: Any, view: View) -> list[Target]:
        """Return the targets in one image's row. Raises `InputError` when the image has none."""

    def attending(self, module: nn.Module, size: tuple[int, int]) -> AbstractContextManager[None]:
        """Prepare the model, within the block, for inputs of (height, width)."""
        return nullcontext()


TASKS: Registry[type[Task]] = Registry("task", __name__)


def task_named(name: str, texts: Sequence[str]) -> str:
    """Return the name of the task: a target such as "similar:cat.jpg" makes a classifier an embedding model."""
    if name in ("", "classification"):
        for entry in TASKS:
            if entry.call.prefixes and any(text.startswith(entry.call.prefixes) for text in texts):
                return entry.name
    return name


def task_of(model: Model, output: Any, texts: Sequence[str] = (), **settings: Any) -> Task:
    """Return the task of a model: from the targets, from its `output` where that is known, or from `output` itself."""
    meaning = model.output or Output(task=model.task)
    name = task_named(meaning.task or recognized(model, output, meaning.ending)[0], texts)
    return TASKS.find(name).call(model.name, model.labels, activation=meaning.ending.activation, **settings)


def recognized(model: Model, output: Any, ending: Ending) -> tuple[str, str]:
    """Return the task that fits an output for one image, and whether that is assumed. Raises `ModelError`."""
    for entry in TASKS:
        if entry.call.recognizes(output, model.labels, ending):
            counted = model.labels and len(model.labels) in getattr(output, "shape", ())
            known = "from the labels" if counted else "from the output" if entry.call.structured(output) else "assumed"
            return entry.name, known
    raise ModelError(
        f"the output of {model.name} fits no known task: {described(output)}",
        f"--output-key chooses a part of it; --task sets the task: {', '.join(TASKS.names())}",
    )


def described(output: Any) -> str:
    """Return a short description of an output: shapes of tensors, keys of mappings."""
    if hasattr(output, "shape"):
        return "×".join(map(str, output.shape)) or "a single number"
    if hasattr(output, "items"):
        return "{" + ", ".join(f"{key}: {described(value)}" for key, value in output.items()) + "}"
    if isinstance(output, (list, tuple)):
        return f"{type(output).__name__} of {', '.join(described(part) for part in output[:4]) or 'nothing'}"
    return type(output).__name__
