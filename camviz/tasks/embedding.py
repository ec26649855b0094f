"""Embeddings: the similarity of an image to another image, or to a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from camviz import tasks
from camviz.errors import ModelError, RequestError, UnknownName
from camviz.tasks import TASKS, References, Task
from camviz.tasks.classification import distinct, slug, values_per_image
from camviz.tasks.outputs import Ending
from camviz.types import Target, View

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TargetSpec(tasks.TargetSpec):
    """Similarity to an image (its path), or to a text. `row` (d,) is its embedding, once computed.

    With `minus`, the difference of the similarities to two references.
    """

    text: str = ""
    is_text: bool = False
    row: Any = field(default=None, compare=False)
    minus: TargetSpec | None = None

    @property
    def label(self) -> str:
        """The name of the reference."""
        name = f"“{self.text}”" if self.is_text else Path(self.text).name
        return f"{name} vs {self.minus.label}" if self.minus else name


@TASKS.add("embedding")
@dataclass(frozen=True)
class Embedding(Task):
    """One vector per image; similar:REF.jpg is its cosine with another image's vector, text:PROMPT with a text's.

    A contrast ("text:a cat vs a dog", "similar:A.jpg vs similar:B.jpg") is the difference of two cosines.
    """

    default: ClassVar[str] = ""
    prefixes: ClassVar[tuple[str, ...]] = ("similar:", "text:")

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str], ending: Ending) -> bool:
        return bool(ending.embedding) and values_per_image(output) not in (None, 1, len(labels))

    def parse(self, texts: Sequence[str]) -> list[TargetSpec]:
        targets = []
        for text in texts:
            first, *others = re.split(" vs (?=text:|similar:)", text, maxsplit=1)
            if not others and text.startswith("text:"):  # a file name may contain " vs "
                first, *others = text.split(" vs ", 1)
                others = [f"text:{other}" for other in others]
            spec = self._parse(first)
            if others:
                minus = self._parse(others[0])
                spec = replace(spec, facet=f"{spec.facet}-vs-{minus.facet}", minus=minus)
            targets.append(spec)
        return distinct(list(dict.fromkeys(targets)))

    def _parse(self, text: str) -> TargetSpec:
        """Parse one reference, without a contrast."""
        kind, colon, rest = text.partition(":")
        if not text:
            raise RequestError(
                f"{self.name} outputs embeddings, and --target names nothing to compare with",
                "--target similar:REF.jpg, or 'text:a car' for a model with a text encoder; --task classification if "
                "its values are scores of classes",
            )
        if not colon or f"{kind}:" not in self.prefixes or not rest.strip():
            raise UnknownName(
                f"no target '{text}': {self.name} outputs embeddings", "--target similar:REF.jpg, or 'text:a red car'"
            )
        is_text = kind == "text"
        if not is_text and not Path(rest).is_file():
            raise RequestError(f"no reference image '{rest}'", "--target similar:FILE, an image file that exists")
        name = slug(rest)[:40] if is_text else slug(Path(rest).stem)
        return TargetSpec(f"{kind}-{name}", text=rest.strip() if is_text else rest, is_text=is_text)

    def complete(self, specs: Sequence[tasks.TargetSpec], references: References) -> list[TargetSpec]:
        return [self._complete(target, references) for target in specs if isinstance(target, TargetSpec)]

    def _complete(self, target: TargetSpec, references: References) -> TargetSpec:
        if target.is_text and not references.text:
            raise ModelError(
                f"{self.name} has no text encoder for 'text:{target.text}'",
                "--model hf:FOLDER of a CLIP has one; --target similar:REF.jpg works here",
            )
        row = references.text(target.text) if target.is_text and references.text else references.image(target.text)
        return replace(target, row=row, minus=self._complete(target.minus, references) if target.minus else None)

    def rows(self, output: Any, count: int) -> Tensor:
        """Return the embeddings (count, d): the output itself, or its mean over positions when it has any."""
        from camviz.hooks.capture import first_tensor

        tensor = first_tensor(output)
        if tensor is None or tensor.ndim < 2 or tensor.shape[0] != count:
            raise ModelError(
                f"the output of {self.name} for {count} image(s) is {tasks.described(output)}, "
                "not one vector per image",
                "--output-key chooses a part of the output",
            )
        tensor = tensor.float()
        if tensor.ndim == 3:  # tokens
            return tensor.mean(1)
        return tensor.flatten(2).mean(2) if tensor.ndim == 4 else tensor.flatten(1)

    def choose(self, spec: tasks.TargetSpec, row: Tensor, view: View) -> list[Target]:
        assert isinstance(spec, TargetSpec)
        sides = [side for side in (spec, spec.minus) if side]
        for side in sides:
            if side.row.shape != row.shape:
                raise ModelError(
                    f"the embedding of '{side.text}' has {len(side.row)} values, "
                    f"that of an image {len(row)} ({self.name})",
                    "--output-key chooses the part of the output with the image's embedding",
                )
        pick = _cosine(*(side.row.detach().float() for side in sides))
        return [Target(f"similarity to {spec.label}", pick, likely=lambda same: same)]


def _cosine(reference: Tensor, other: Tensor | None = None) -> Callable[[Any], Tensor]:
    """Return a reader of cos(row, reference) over the last axis, minus cos(row, other) for a contrast."""

    def pick(row: Tensor) -> Tensor:
        from torch.nn import functional as F

        like = F.cosine_similarity(row, reference.to(row.device), dim=-1)
        return like if other is None else like - F.cosine_similarity(row, other.to(row.device), dim=-1)

    return pick
