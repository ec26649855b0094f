"""What a run has beside its job: where its files go, how much fits into memory, who listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from camviz.hooks.chunks import out_of_memory
from camviz.run.flow import Pace
from camviz.run.output.files import Write, write_file
from camviz.run.threads import cores


@dataclass(frozen=True)
class Workplace:
    """Where files go, the largest batch known to fit, whom to tell of a smaller one.

    Without `draws` there are maps, but no files; so it is with one scale for a run, until all maps are known. `frames`
    hears how many of a video's frames are done.
    """

    folder: Path
    write: Write = write_file
    fits: int | None = None
    smaller: Callable[[int], None] = lambda _size: None
    strict: bool = False
    draws: bool = True
    frames: Callable[[int, int], None] = lambda _done, _total: None

    def pace(self, batch: int, lanes: int) -> Pace:
        """The batch and the threads of a flow with so many engines."""
        batch = min(batch, self.fits or batch)
        return Pace(batch, max(cores(), lanes), self.strict, out_of_memory, self.smaller)
