"""Numbers: regression, and the two-class model with a single logit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from camviz import tasks
from camviz.errors import ModelError, UnknownName
from camviz.tasks import TASKS, Task
from camviz.tasks.classification import distinct, find_class, label_of
from camviz.types import Target, View

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Wanted(tasks.Wanted):
    """The output number `index` times `sign`; a sign of 0: as the output itself has it."""

    index: int = 0
    sign: int = 1


@TASKS.add("regression")
@dataclass(frozen=True)
class Regression(Task):
    """One or several numbers per image: output:0 is what raises the first, -output:0 what lowers it."""

    default: ClassVar[str] = "output:0"
    prefixes: ClassVar[tuple[str, ...]] = ("output:", "-output:")

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str]) -> bool:
        return _numbers(output) == 1 and len(labels) != 2

    def parse(self, texts: Sequence[str]) -> list[Wanted]:
        found = []
        for text in (part.strip() for one in texts for part in one.split(",")):
            match = re.fullmatch(r"(-?)output:(\d+)", text)
            if not match and text not in self.labels:
                known = f", or a name: {', '.join(self.labels[:4])}" if self.labels else ""
                raise UnknownName(f"no target '{text}': {self.name} gives numbers", f"--target output:0{known}")
            index = int(match[2]) if match else self.labels.index(text)
            minus = match[1] if match else ""
            found.append(Wanted(f"{'minus_' if minus else ''}output{index}", index=index, sign=-1 if minus else 1))
        return distinct(list(dict.fromkeys(found)))

    def check(self, wanted: Sequence[tasks.Wanted], output: Any) -> None:
        numbers = _numbers(output)
        for one in wanted:
            if isinstance(one, Wanted) and numbers is not None and one.index >= numbers:
                raise UnknownName(
                    f"no output {one.index} in {self.name}", f"it gives {numbers} number(s), output:0 the first"
                )

    def rows(self, output: Any, count: int) -> Tensor:
        from camviz.hooks.capture import first_tensor

        tensor = first_tensor(output)
        if tensor is None or tensor.ndim not in (1, 2) or tensor.shape[0] != count:
            raise ModelError(
                f"{self.name} gives {tasks.described(output)} for {count} image(s), not a few numbers for each",
                f"--task says what it is: {', '.join(TASKS.names())}",
            )
        return tensor.reshape(count, -1).float()

    def choose(self, wanted: tasks.Wanted, row: Tensor, view: View) -> list[Target]:
        assert isinstance(wanted, Wanted)
        self.check([wanted], row[None])
        name = self.labels[wanted.index] if wanted.index < len(self.labels) else f"output {wanted.index}"
        label = f"-{name}" if wanted.sign < 0 else name
        return [Target(label, _reader(wanted.index, wanted.sign), index=wanted.index, likely=lambda same: same)]


@TASKS.add("binary")
@dataclass(frozen=True)
class Binary(Regression):
    """Two classes told apart by the sign of one logit: the second class is what raises it."""

    default: ClassVar[str] = "top1"
    prefixes: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str]) -> bool:
        return _numbers(output) == 1 and len(labels) == 2

    def parse(self, texts: Sequence[str]) -> list[Wanted]:
        names = self._names()
        found = []
        for text in (part.strip() for one in texts for part in one.split(",")):
            if text == "top1":
                found.append(Wanted("top1", sign=0))
            else:
                side = find_class(text, names, self.name)
                found.append(Wanted(names[side], sign=1 if side else -1))
        return distinct(list(dict.fromkeys(found)))

    def choose(self, wanted: tasks.Wanted, row: Tensor, view: View) -> list[Target]:
        assert isinstance(wanted, Wanted)
        self.check([wanted], row[None])
        side = int(row[0] > 0) if wanted.sign == 0 else int(wanted.sign > 0)
        sign = 1 if side else -1
        probability = float((sign * row.detach()[0]).sigmoid())
        kind = self.score or "logit"
        label = label_of(side, self._names())
        return [Target(label, _reader(0, sign), kind, side, probability, likely=_likelihood(sign))]

    def _names(self) -> tuple[str, ...]:
        return self.labels if len(self.labels) == 2 else ("negative", "positive")


def _numbers(output: Any) -> int | None:
    """How many numbers an output has for one image; None when it is of another kind."""
    from camviz.hooks.capture import first_tensor

    tensor = first_tensor(output)
    if tensor is None or tensor.ndim not in (1, 2) or tensor.shape[0] != 1:
        return None
    return int(tensor[0].numel())


def _reader(index: int, sign: int) -> Callable[[Any], Tensor]:
    def pick(row: Tensor) -> Tensor:
        return sign * row[..., index]

    return pick


def _likelihood(sign: int) -> Callable[[Any], Tensor]:
    """Probabilities such that a pick times `sign` is that of the side: sign·σ(sign·z)."""

    def likely(row: Tensor) -> Tensor:
        return sign * (sign * row).sigmoid()

    return likely
