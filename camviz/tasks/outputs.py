"""What a model's output means, as a value: tasks read it, `models.outputs` finds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Activation = Literal["", "softmax", "log_softmax", "sigmoid"]


@dataclass(frozen=True)
class Ending:
    """The last operations of a forward: the `activation`, "" for none, and whether the output is an embedding.

    `embedding` is the reason: "normalized to unit length", or "no classifier behind the features"; "" for others.
    """

    activation: Activation = ""
    embedding: str = ""


NO_ENDING = Ending()


@dataclass(frozen=True, eq=False)
class Output:
    """What a model's output means, and how each part of that was found.

    `key` is the part that is read, "" for all of it; `classes` the number of classes or values, None for boxes.
    `task` is "" until targets or settings choose it. The activation is left out of forwards (`sites`) or inverted
    (`inverted`), so that tasks always read logits; probabilities are the activation of those.
    `sources` has "given", "from the model", "from the name", "from the labels", "from the graph", "from the values"
    or "assumed" for each of "part", "task" and "activation".
    """

    key: str = ""
    task: str = ""
    ending: Ending = NO_ENDING
    classes: int | None = None
    shape: tuple[int, ...] = ()  # of the part for one image
    sites: tuple[tuple[str, int], ...] = ()
    inverted: bool = False
    sources: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return the description as JSON."""
        return {
            "key": self.key,
            "task": self.task,
            "activation": self.ending.activation or "none",
            "classes": self.classes,
            "sources": self.sources,
        }

    def __str__(self) -> str:
        part = f"part '{self.key}' ({self.sources.get('part', '')}), " if self.key else ""
        scores = f"{self.ending.activation} probabilities" if self.ending.activation else "logits"
        if self.task in ("embedding", "regression", "dense", "detection"):
            scores = {"embedding": "an embedding", "detection": "boxes"}.get(self.task, "values")
        count = f" of {self.classes} classes" if self.classes and "lass" in scores + self.task else ""
        count = f" of {self.classes} values" if self.classes and not count else count
        how = {name: self.sources.get(name, "") for name in ("task", "activation")}
        return f"{part}{self.task} ({how['task']}): {scores}{count} ({how['activation']})"
