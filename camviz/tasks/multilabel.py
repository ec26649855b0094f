"""Several classes at once: a sigmoid for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from camviz import tasks
from camviz.errors import InputError
from camviz.tasks import TASKS
from camviz.tasks.classification import Classification, Wanted, choose, label_of, parse_targets
from camviz.types import Target, View

if TYPE_CHECKING:
    from torch import Tensor


@TASKS.add("multilabel")
@dataclass(frozen=True)
class MultiLabel(Classification):
    """Classes that do not exclude each other; `all` means those of at least --min-score."""

    @staticmethod
    def recognizes(output: Any, labels: Sequence[str]) -> bool:
        return False  # it looks like a classifier's: --task multilabel says it

    def parse(self, texts: Sequence[str]) -> list[Wanted]:
        found: list[Wanted] = []
        for text in texts:
            found += [Wanted("all", several=True)] if text == "all" else parse_targets([text], self.labels, self.name)
        return list(dict.fromkeys(found))

    def choose(self, wanted: tasks.Wanted, row: Tensor, view: View) -> list[Target]:
        assert isinstance(wanted, Wanted)
        chances = row.detach().sigmoid()
        found = [wanted]
        if wanted.several:
            order = chances.argsort(descending=True).tolist()
            found = [replace(wanted, index=i, several=False) for i in order if chances[i] >= self.min_score]
        if not found:
            best = int(chances.argmax())
            raise InputError(
                f"no class of {self.name} reaches {self.min_score:g}; the likeliest is "
                f"'{label_of(best, self.labels)}' with {float(chances[best]):.2g}",
                "--min-score lowers the bar; --target top1 takes the likeliest",
            )
        targets = [choose(one, row, self.labels, self.score, self.name) for one in found]
        return [replace(one, probability=float(chances[one.index or 0]), likely=_sigmoid) for one in targets]


def _sigmoid(row: Tensor) -> Tensor:
    return row.sigmoid()
