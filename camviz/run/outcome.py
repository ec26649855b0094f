"""The counts of a run, and its exit status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from camviz.run.database.records import Record


@dataclass
class Outcome:
    """Images done, files written, images that failed; and how many were done, or had failed, before.

    `replaced`: files of other jobs in the same folder that were written over.
    """

    done: int = 0
    written: int = 0
    failed: int = 0
    before: int = 0
    failed_before: int = 0
    replaced: int = 0

    def count(self, record: Record) -> None:
        """Count one more image."""
        if record.done:
            self.done += 1
        else:
            self.failed += 1

    @property
    def seen(self) -> int:
        """Images that are done or failed, in this run or earlier."""
        return self.done + self.failed + self.before + self.failed_before

    @property
    def exit_status(self) -> int:
        """0 when all is done, 1 when some inputs failed, now or before."""
        return 1 if self.failed or self.failed_before else 0

    def summary(self) -> str:
        """ "3 images, 6 files", what failed, what was done before; just the files where no image was needed."""
        if self == Outcome():
            return "nothing to do"
        parts = [_count(self.done, "image")] if self.seen else []
        parts.append(_count(self.written, "file"))
        if self.seen and not (self.done or self.written or self.failed):
            parts = ["nothing left to do"]
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.before} done before"] if self.before else []
        parts += [f"{self.failed_before} failed before"] if self.failed_before else []
        return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
