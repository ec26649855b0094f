"""Embeddings: what makes an image like another one, or like words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from camviz import tasks
from camviz.errors import ModelError, RequestError, UnknownName
from camviz.tasks import TASKS, References, Task
from camviz.tasks.classification import distinct, slug
from camviz.types import Target, View

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Wanted(tasks.Wanted):
    """Likeness to an image (its path), or to words. `row` (d,) is what that is to the model, once known.

    With `minus`, how much more like this than like that.
    """

    text: str = ""
    words: bool = False
    row: Any = field(default=None, compare=False)
    minus: Wanted | None = None

    @property
    def label(self) -> str:
        """What it is like."""
        name = f"“{self.text}”" if self.words else Path(self.text).name
        return f"{name} vs {self.minus.label}" if self.minus else name


@TASKS.add("embedding")
@dataclass(frozen=True)
class Embedding(Task):
    """One vector per image; similar:REF.jpg is its cosine with another image's, text:WORDS with that of words.

    A contrast ("text:a cat vs a dog", "similar:A.jpg vs similar:B.jpg") is the difference of two cosines.
    """

    default: ClassVar[str] = ""
    prefixes: ClassVar[tuple[str, ...]] = ("similar:", "text:")

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str]) -> bool:
        return False  # it looks like a classifier's: --task embedding, or a target, says it

    def parse(self, texts: Sequence[str]) -> list[Wanted]:
        found = []
        for text in texts:
            one, *others = re.split(" vs (?=text:|similar:)", text, maxsplit=1)
            if not others and text.startswith("text:"):  # a file's name may have a " vs " in it
                one, *others = text.split(" vs ", 1)
                others = [f"text:{other}" for other in others]
            wanted = self._parse(one)
            if others:
                minus = self._parse(others[0])
                wanted = replace(wanted, facet=f"{wanted.facet}-vs-{minus.facet}", minus=minus)
            found.append(wanted)
        return distinct(list(dict.fromkeys(found)))

    def _parse(self, text: str) -> Wanted:
        """One text without a contrast."""
        kind, colon, rest = text.partition(":")
        if not text:
            raise RequestError(f"{self.name} gives embeddings: like what?", "--target similar:REF.jpg, or 'text:a car'")
        if not colon or f"{kind}:" not in self.prefixes or not rest.strip():
            raise UnknownName(
                f"no target '{text}': {self.name} gives embeddings", "--target similar:REF.jpg, or 'text:a red car'"
            )
        words = kind == "text"
        if not words and not Path(rest).is_file():
            raise RequestError(f"no image '{rest}' to be similar to", "--target similar:FILE")
        name = slug(rest)[:40] if words else slug(Path(rest).stem)
        return Wanted(f"{kind}_{name}", text=rest.strip() if words else rest, words=words)

    def complete(self, wanted: Sequence[tasks.Wanted], references: References) -> list[Wanted]:
        return [self._complete(one, references) for one in wanted if isinstance(one, Wanted)]

    def _complete(self, one: Wanted, references: References) -> Wanted:
        if one.words and not references.words:
            raise ModelError(
                f"{self.name} knows no words: 'text:{one.text}' means nothing to it",
                "a model of images and text does, as --model hf:FOLDER of a CLIP; similar:REF.jpg works here",
            )
        row = references.words(one.text) if one.words and references.words else references.image(one.text)
        return replace(one, row=row, minus=self._complete(one.minus, references) if one.minus else None)

    def rows(self, output: Any, count: int) -> Tensor:
        """(count, d): the output itself, or its mean over places when it has any."""
        from camviz.hooks.capture import first_tensor

        tensor = first_tensor(output)
        if tensor is None or tensor.ndim < 2 or tensor.shape[0] != count:
            raise ModelError(
                f"{self.name} gives {tasks.described(output)} for {count} image(s), not one vector for each",
                "--output-key chooses a part of the output",
            )
        tensor = tensor.float()
        return tensor.flatten(2).mean(2) if tensor.ndim == 4 else tensor.flatten(1)

    def choose(self, wanted: tasks.Wanted, row: Tensor, view: View) -> list[Target]:
        assert isinstance(wanted, Wanted)
        sides = [side for side in (wanted, wanted.minus) if side]
        for side in sides:
            if side.row.shape != row.shape:
                raise ModelError(
                    f"'{side.text}' is {len(side.row)} numbers to {self.name}, an image {len(row)}",
                    "--output-key chooses the part of the output that has the image's embedding",
                )
        pick = _cosine(*(side.row.detach().float() for side in sides))
        return [Target(f"like {wanted.label}", pick, likely=lambda same: same)]


def _cosine(reference: Tensor, other: Tensor | None = None) -> Callable[[Any], Tensor]:
    """cos(row, reference) over the last axis, less cos(row, other) where there is another."""

    def pick(row: Tensor) -> Tensor:
        from torch.nn import functional as F

        like = F.cosine_similarity(row, reference.to(row.device), dim=-1)
        return like if other is None else like - F.cosine_similarity(row, other.to(row.device), dim=-1)

    return pick
