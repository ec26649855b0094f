"""A piece of a run that another process can do: plain values in, records out. Whoever keeps the database adds them.

Without torch at the top: Ray's driver imports this, and computes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from camviz.errors import CamvizError, InputError
from camviz.io.inputs import Input
from camviz.io.paths import is_remote
from camviz.run.database.records import Record
from camviz.run.job import Settings
from camviz.run.runners import begin
from camviz.types import Model, ModelRequest

if TYPE_CHECKING:
    from camviz.run.context import RunContext

Answers = Callable[[Sequence[Input]], "Answer"]


@dataclass(frozen=True)
class Answer:
    """What came of some inputs: their records, and what the process learned that concerns the others."""

    records: tuple[Record, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    fits: int | None = None  # no more images at once than these
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

    def records(self, work: Callable[[RunContext], Iterator[Record]]) -> Answer:
        """Do it: files are written, or kept beside the records."""
        from camviz.run.context import RunContext
        from camviz.run.output.folder import Store

        kept: dict[Path, bytes] = {}
        smaller: list[int] = []
        if self.folder is None:
            context = RunContext(Path(), kept.__setitem__)
        elif is_remote(self.folder) or self.parts is None:
            context = RunContext(self.folder)
        else:
            context = RunContext(self.folder, Store(self.folder, self.parts).write)
        records = list(work(replace(context, fits=self.fits, smaller=smaller.append, strict=self.strict)))
        if self.folder is None:
            records = [
                replace(record, written=tuple(replace(file, data=kept.get(file.path)) for file in record.written))
                for record in records
            ]
        return Answer(tuple(records), fits=min(smaller, default=None))


@dataclass(frozen=True)
class Share:
    """The settings of a command, for a process that does its share of the images."""

    settings: Settings
    place: Place = field(default_factory=Place)  # where it is made, not where this is imported

    def begin(self) -> Answers:
        """Load the models once and return a function from inputs to their answer."""
        self.place.enter()
        models, device = self.settings.models, self.settings.request.device
        task = begin(self.settings, lambda number: load(models[number], device), lambda _done, _total: None)

        def answer(inputs: Sequence[Input]) -> Answer:
            made = self.place.records(lambda context: task.records(inputs, context))
            return replace(made, skipped=dict(task.skipped))

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
