"""Regression, and binary classification with a single logit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from camviz import tasks
from camviz.errors import ModelError, UnknownName
from camviz.tasks import TASKS, Task
from camviz.tasks.classification import distinct, find_class, label_of, values_per_image
from camviz.tasks.outputs import Ending
from camviz.types import Target, View

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TargetSpec(tasks.TargetSpec):
    """The output `index` times `sign`; 0 takes the sign of the output itself."""

    index: int = 0
    sign: int = 1


@TASKS.add("regression")
@dataclass(frozen=True)
class Regression(Task):
    """One or several numbers per image: output:0 explains an increase of the first, -output:0 a decrease."""

    default: ClassVar[str] = "output:0"
    prefixes: ClassVar[tuple[str, ...]] = ("output:", "-output:")

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str], ending: Ending) -> bool:
        return values_per_image(output) == 1 and len(labels) != 2 and ending.activation != "sigmoid"

    def parse(self, texts: Sequence[str]) -> list[TargetSpec]:
        targets = []
        for text in (part.strip() for value in texts for part in value.split(",")):
            match = re.fullmatch(r"(-?)output:(\d+)", text)
            if not match and text not in self.labels:
                known = f", or a name: {', '.join(self.labels[:4])}" if self.labels else ""
                raise UnknownName(f"no target '{text}': {self.name} is a regression model", f"--target output:0{known}")
            index = int(match[2]) if match else self.labels.index(text)
            minus = match[1] if match else ""
            targets.append(
                TargetSpec(f"{'minus-' if minus else ''}output{index}", index=index, sign=-1 if minus else 1)
            )
        return distinct(list(dict.fromkeys(targets)))

    def check(self, specs: Sequence[tasks.TargetSpec], output: Any) -> None:
        numbers = values_per_image(output)
        for target in specs:
            if isinstance(target, TargetSpec) and numbers is not None and target.index >= numbers:
                raise UnknownName(
                    f"no output {target.index} in {self.name}", f"it has {numbers} output(s), the first is output:0"
                )

    def rows(self, output: Any, count: int) -> Tensor:
        from camviz.hooks.capture import first_tensor

        tensor = first_tensor(output)
        if tensor is None or tensor.ndim not in (1, 2, 4) or tensor.shape[0] != count:
            raise ModelError(
                f"the output of {self.name} for {count} image(s) is {tasks.described(output)}, "
                "not a few numbers per image",
                f"--task sets the task: {', '.join(TASKS.names())}",
            )
        return tensor.reshape(count, -1).float()

    def choose(self, spec: tasks.TargetSpec, row: Tensor, view: View) -> list[Target]:
        assert isinstance(spec, TargetSpec)
        self.check([spec], row[None])
        name = self.labels[spec.index] if spec.index < len(self.labels) else f"output {spec.index}"
        label = f"-{name}" if spec.sign < 0 else name
        return [Target(label, _reader(spec.index, spec.sign), index=spec.index, likely=lambda same: same)]


@TASKS.add("binary")
@dataclass(frozen=True)
class Binary(Regression):
    """Two classes and one logit: a positive logit means the second class."""

    default: ClassVar[str] = "top1"
    prefixes: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str], ending: Ending) -> bool:
        return values_per_image(output) == 1 and (len(labels) == 2 or ending.activation == "sigmoid")

    def parse(self, texts: Sequence[str]) -> list[TargetSpec]:
        names = self._names()
        targets = []
        for text in (part.strip() for value in texts for part in value.split(",")):
            if text == "top1":
                targets.append(TargetSpec("top1", sign=0))
            else:
                side = find_class(text, names, self.name)
                targets.append(TargetSpec(names[side], sign=1 if side else -1))
        return distinct(list(dict.fromkeys(targets)))

    def choose(self, spec: tasks.TargetSpec, row: Tensor, view: View) -> list[Target]:
        assert isinstance(spec, TargetSpec)
        self.check([spec], row[None])
        side = int(row[0] > 0) if spec.sign == 0 else int(spec.sign > 0)
        sign = 1 if side else -1
        probability = float((sign * row.detach()[0]).sigmoid())
        kind = self.score or "logit"
        label = label_of(side, self._names())
        names, chance = self._names(), float(row.detach()[0].sigmoid())
        facts = {"predicted": names[int(chance > 0.5)], "confidence": max(chance, 1 - chance)}
        return [Target(label, _reader(0, sign), kind, side, probability, likely=_likelihood(sign), facts=facts)]

    def _names(self) -> tuple[str, ...]:
        return self.labels if len(self.labels) == 2 else ("negative", "positive")


def _reader(index: int, sign: int) -> Callable[[Any], Tensor]:
    def pick(row: Tensor) -> Tensor:
        return sign * row[..., index]

    return pick


def _likelihood(sign: int) -> Callable[[Any], Tensor]:
    """Return the map z → sign·σ(sign·z), from which a pick times `sign` is the probability of that class."""

    def likely(row: Tensor) -> Tensor:
        return sign * (sign * row).sigmoid()

    return likely
