"""A piece of a run that another process can do: plain values in, records out. Whoever keeps the database adds them.

Without torch at the top: Ray's driver imports this, and computes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from camviz.errors import CamvizError, InputError
from camviz.io.inputs import Input
from camviz.io.paths import is_remote
from camviz.run.database.records import Record
from camviz.types import Job, Model, ModelRequest

if TYPE_CHECKING:
    from camviz.feature_maps.job import FeatureJob
    from camviz.metrics import Measure
    from camviz.metrics.ground_truth import Truth
    from camviz.run.features import Asked
    from camviz.run.run_context import Workplace

Answers = Callable[[Sequence[Input]], "Answer"]


@dataclass(frozen=True)
class Answer:
    """What came of some inputs: their records, and what the process learned that concerns the others."""

    records: tuple[Record, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    fits: int | None = None  # no more images at once than these
    more: Any = None
    error: CamvizError | None = None  # the request itself is wrong


class Assignment(Protocol):
    """What a process does with inputs, as a value that can be sent there."""

    def begin(self) -> Answers:
        """Load the model once; what comes back is asked again and again."""


@dataclass(frozen=True)
class Place:
    """Where a process writes its files. Without a folder their bytes travel back to whoever asked."""

    folder: Path | None = None
    parts: Path | None = None
    strict: bool = False
    fits: int | None = None
    here: str = field(default_factory=os.getcwd)  # what relative paths begin at

    def enter(self) -> None:
        """Paths mean what they meant where they were typed."""
        if os.path.isdir(self.here):
            os.chdir(self.here)

    def records(self, work: Callable[[Workplace], Iterator[Record]]) -> Answer:
        """Do it: files are written, or kept beside the records."""
        from camviz.run.output.folder import Store
        from camviz.run.run_context import Workplace

        kept: dict[Path, bytes] = {}
        smaller: list[int] = []
        if self.folder is None:
            workplace = Workplace(Path(), kept.__setitem__)
        elif is_remote(self.folder) or self.parts is None:
            workplace = Workplace(self.folder)
        else:
            workplace = Workplace(self.folder, Store(self.folder, self.parts).write)
        records = list(work(replace(workplace, fits=self.fits, smaller=smaller.append, strict=self.strict)))
        if self.folder is None:
            records = [
                replace(one, written=tuple(replace(file, data=kept.get(file.path)) for file in one.written))
                for one in records
            ]
        return Answer(tuple(records), fits=min(smaller, default=None))


@dataclass(frozen=True)
class Explaining:
    """Heatmaps."""

    job: Job
    place: Place = field(default_factory=Place)  # where it is made, not where this is imported

    def begin(self) -> Answers:
        """Load the model once; what comes back is asked again and again."""
        from camviz.engine.explain import Explainer
        from camviz.run.heatmap import heatmaps
        from camviz.run.replicas import lanes_for

        self.place.enter()
        explainer = Explainer(load(self.job.model, self.job.device), self.job)
        lanes = lanes_for(self.job, explainer)

        def answer(inputs: Sequence[Input]) -> Answer:
            found = self.place.records(lambda workplace: heatmaps(self.job, explainer, inputs, workplace, lanes))
            return replace(found, skipped=dict(explainer.skipped))

        return answer


@dataclass(frozen=True)
class Drawing:
    """Figures of feature maps."""

    request: ModelRequest
    device: str
    job: FeatureJob
    asked: Asked
    place: Place = field(default_factory=Place)  # where it is made, not where this is imported

    def begin(self) -> Answers:
        """Load the model once; what comes back is asked again and again."""
        from camviz.run.features import extractor_for, features

        self.place.enter()
        extractor = extractor_for(self.job, load(self.request, self.device), self.asked)

        def answer(inputs: Sequence[Input]) -> Answer:
            return self.place.records(lambda workplace: features(self.job, extractor, inputs, workplace))

        return answer


@dataclass(frozen=True)
class Measuring:
    """Rows of metrics; `more` is what an evaluator takes in with `absorb`."""

    job: Job
    measures: tuple[Measure, ...]
    truth: Truth | None
    forwards: int
    place: Place = field(default_factory=Place)  # where it is made, not where this is imported

    def begin(self) -> Answers:
        """Load the model once; what comes back is asked again and again."""
        from camviz.engine.explain import Explainer
        from camviz.metrics.evaluate import Evaluator
        from camviz.run.evaluate import measure
        from camviz.run.outcome import Outcome
        from camviz.run.threads import cores, one_thread_each, torch_threads

        self.place.enter()
        torch_threads(cores())
        one_thread_each()
        explainer = Explainer(load(self.job.model, self.job.device), self.job)
        marked = self.truth.mask if self.truth else None

        def answer(inputs: Sequence[Input]) -> Answer:
            evaluator = Evaluator(explainer, self.measures, marked, self.forwards)
            failed: dict[str, CamvizError] = {}
            measure(evaluator, inputs, self.job.fit, Outcome(), failed.__setitem__)
            records = tuple(Record(one, error=failed.get(one.name)) for one in inputs)
            return Answer(records, dict(explainer.skipped), more=evaluator.found)

        return answer


def load(request: ModelRequest, device: str) -> Model:
    """The model on its device."""
    from camviz.models.load import plan, to_device

    return to_device(plan(request).build(), device)


def lost(source: Input, times: int) -> InputError:
    """The error for an image whose process died each time."""
    return InputError(
        f"'{source.path}' ended the process that worked on it, {times} times",
        "try it alone, without --engine ray: too large for the memory, perhaps",
    )
