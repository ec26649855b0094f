"""Multi-label classification: a sigmoid per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from camviz import tasks
from camviz.errors import InputError
from camviz.tasks import TASKS
from camviz.tasks.classification import Classification, TargetSpec, choose, label_of, parse_targets, values_per_image
from camviz.tasks.outputs import Ending
from camviz.types import Target, View

if TYPE_CHECKING:
    from torch import Tensor


@TASKS.add("multilabel")
@dataclass(frozen=True)
class MultiLabel(Classification):
    """Classes that do not exclude each other; `all` takes those of at least --min-score."""

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str], ending: Ending) -> bool:
        return (values_per_image(output) or 0) > 1 and ending.activation == "sigmoid"

    def parse(self, texts: Sequence[str]) -> list[TargetSpec]:
        targets: list[TargetSpec] = []
        for text in texts:
            targets += (
                [TargetSpec("all", several=True)] if text == "all" else parse_targets([text], self.labels, self.name)
            )
        return list(dict.fromkeys(targets))

    def choose(self, spec: tasks.TargetSpec, row: Tensor, view: View) -> list[Target]:
        assert isinstance(spec, TargetSpec)
        chances = row.detach().sigmoid()
        chosen = [spec]
        if spec.several:
            order = chances.argsort(descending=True).tolist()
            chosen = [replace(spec, index=i, several=False) for i in order if chances[i] >= self.min_score]
        if not chosen:
            best = int(chances.argmax())
            raise InputError(
                f"no class of {self.name} reaches {self.min_score:g}; the highest is "
                f"'{label_of(best, self.labels)}' with {float(chances[best]):.2g}",
                f"--min-score {int(float(chances[best]) * 100) / 100:g}, or --target top1",
            )
        targets = [choose(target, row, self.labels, self.score, self.name) for target in chosen]
        best = int(chances.argmax())
        facts = {"predicted": label_of(best, self.labels), "confidence": float(chances[best])}
        return [
            replace(
                target,
                probability=None if target.probability is None else float(chances[target.index or 0]),
                likely=_sigmoid,
                facts=facts,
            )
            for target in targets
        ]


def _sigmoid(row: Tensor) -> Tensor:
    return row.sigmoid()
