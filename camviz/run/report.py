"""One object counts what happened and owns the exit status."""

from __future__ import annotations

from dataclasses import dataclass, field

from camviz.errors import CamvizError


@dataclass
class Report:
    """Pictures done, files written, and the failures by name."""

    done: int = 0
    written: int = 0
    failures: list[tuple[str, CamvizError]] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """0 when all is done, 1 when some inputs failed."""
        return 1 if self.failures else 0

    def summary(self) -> str:
        """ "3 pictures, 6 files" and what failed; just the files where no picture was needed."""
        counts = [_count(self.done, "picture")] if self.done or self.failures else []
        text = ", ".join([*counts, _count(self.written, "file")])
        return f"{text}, {len(self.failures)} failed" if self.failures else text


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
