"""The context of a run beside its job: where files go, which batch fits into memory, what receives progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camviz.hooks.chunks import out_of_memory
from camviz.io.inputs import Input
from camviz.run.database.records import Record
from camviz.run.flow import Flow, Pace, Stages
from camviz.run.memory import budget
from camviz.run.output.files import Write, write_file
from camviz.run.threads import cores, one_thread_each, torch_threads


@dataclass(frozen=True)
class RunContext:
    """The folder of a run, and `fits`, the largest batch known to fit into memory; `smaller` is called with a new one.

    Without `draws` maps are computed and no files are written, as for a color scale that the whole run shares.
    `frames` is called with the number of finished frames of a video and of all its frames; `passed` with the number
    of images that are computed, by commands whose records come at the end.
    """

    folder: Path
    write: Write = write_file
    fits: int | None = None
    smaller: Callable[[int], None] = lambda _size: None
    strict: bool = False
    draws: bool = True
    frames: Callable[[int, int], None] = lambda _done, _total: None
    passed: Callable[[int], None] = lambda _done: None

    def pace(self, batch: int, engines: int) -> Pace:
        """Return the batch size and the number of threads for so many engines."""
        batch = max(1, min(batch, self.fits or batch))
        return Pace(batch, max(cores(), engines), self.strict, out_of_memory, self.smaller, budget())

    def flow(self, inputs: Iterable[Input], stages: Stages[Any, Any], batch: int) -> Iterator[Record]:
        """Run inputs through stages; yield the record of each."""
        engines = len(stages.engines)
        torch_threads(cores() // engines)
        one_thread_each()
        return iter(Flow(inputs, stages, self.pace(batch, engines)))
