"""Who hears what: paths and listings on stdout, words for people on stderr."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, Literal

from camviz.errors import CamvizError
from camviz.run.outcome import Outcome

_MOMENT = 0.1  # seconds


class Bar:
    """How far a run is, on stderr: a bar on a terminal, else a line every ten seconds. A `with` shows it."""

    def __init__(self, bar: bool, lines: bool = False, every: float = 10.0) -> None:
        self._progress: Any = None
        self._lines, self._every = lines, every
        self._started = self._said = time.monotonic()
        self._outcome, self._total, self._forwards = Outcome(), [0], ""
        self._counting: Callable[[], int | None] | None = None
        if bar:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            told = TextColumn("{task.fields[told]}")
            self._progress = Progress(*columns, told, console=RichConsole(stderr=True), transient=True)
            self._images = self._progress.add_task("images", total=None, told="")
            self._scored = self._progress.add_task("forwards", total=None, visible=False, told="")

    def __enter__(self) -> Bar:
        self._started = self._said = time.monotonic()
        if self._progress:
            self._progress.start()
            self._count()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._progress:
            self._progress.stop()

    def began(self, seconds: float) -> None:
        """The work itself began so many seconds ago: what came before was preparation, and is no part of the rate."""
        self._started = time.monotonic() - seconds

    def count(self, total: Callable[[], int | None]) -> None:
        """How to find out how many images there are; asked in a thread, and only when somebody waits."""
        self._counting = total

    def _count(self) -> None:
        counting, self._counting = self._counting, None
        if counting:
            into = self._total
            thread = threading.Thread(target=lambda: into.__setitem__(0, counting() or 0), daemon=True)
            thread.start()
            thread.join(_MOMENT)  # most folders are counted by then

    def update(self, outcome: Outcome) -> None:
        """Images are done."""
        self._outcome = outcome
        self._forwards = ""
        if self._progress:
            self._progress.update(self._images, completed=outcome.seen, total=self._total[0] or None, told=self.told())
        self._line()

    def scored(self, done: int, total: int, what: str = "forwards") -> None:
        """So many of the forwards of one map are done, or of the frames of a video."""
        self._forwards = f", {done} of {total} {what}" if done < total else ""
        if self._progress:
            seen = {"completed": done, "total": total, "visible": done < total, "description": what}
            self._progress.update(self._scored, **seen)
        self._line()

    def frame(self, done: int, total: int) -> None:
        """So many of the frames of a video are done."""
        self.scored(done, total, "frames")

    def told(self) -> str:
        """Rate, remaining time, failures, memory."""
        outcome = self._outcome
        seconds = time.monotonic() - self._started
        done = outcome.done + outcome.failed
        rate = done / seconds if seconds > 0 else 0.0
        left = self._total[0] - done - outcome.before - outcome.failed_before
        parts = [f"{rate:.3g}/s"] if done else []
        parts += [f"{_duration(left / rate)} left"] if left > 0 and rate else []
        parts += [f"{outcome.failed} failed"] if outcome.failed else []
        return ", ".join([*parts, f"{memory() / 2**20:.0f} MB"])

    def _line(self) -> None:
        now = time.monotonic()
        if not self._lines or now - self._said < self._every:
            return
        self._said = now
        self._count()
        total = self._total[0] or 0
        of = f" of {total}" if total else ""
        noun = "image" if (total or self._outcome.seen) == 1 else "images"
        print(f"{self._outcome.seen}{of} {noun}{self._forwards}, {self.told()}", file=sys.stderr)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def memory() -> int:
    """Bytes of memory this process holds, or has held at most where that alone is known."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)


class Console:
    """Speaks to people, unless `quiet`; errors are told always."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._results = sys.stdout

    @contextmanager
    def only_results(self) -> Iterator[None]:
        """Within the block, what others print (a download, somebody's model) is for people too: on stderr."""
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere if self.quiet else sys.stderr):
            yield

    @property
    def terminal(self) -> bool:
        """Whether results are read by somebody at a terminal."""
        return self._results.isatty()

    def say(self, text: str) -> None:
        """A line for people, on stderr."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def layers(self, paths: Sequence[str], model: str) -> None:
        """Which layers are looked at, where there are any."""
        if paths:
            plural = "s" * (len(paths) > 1)
            self.say(
                f"layer{plural}: {', '.join(paths)} of {model} (--layer chooses {'others' if plural else 'another'})"
            )

    def error(self, error: CamvizError) -> None:
        """An error in two lines: what is wrong, and what to type instead."""
        print(f"error: {_one_line(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"hint: {_one_line(error.hint)}", file=sys.stderr)

    def result(self, text: str) -> None:
        """A line for programs, on stdout."""
        print(text, file=self._results, flush=True)

    def bar(self) -> Bar:
        """How far a run is: a bar when stderr is a terminal, else a line now and then."""
        terminal = sys.stderr.isatty()
        return Bar(terminal and not self.quiet, not terminal and not self.quiet)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
        """A listing on stdout: as wide as the terminal, or as it needs to be when piped. `right`: aligned right."""
        from rich.console import Console as RichConsole
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in columns:
            justify: Literal["left", "right"] = "right" if column in right else "left"
            table.add_column(column, justify=justify, no_wrap=True, overflow="fold")
        listed = [[Text(cell) for cell in row] for row in rows]
        for row in listed:
            table.add_row(*row)
        width = None if self.terminal else 10_000
        console = RichConsole(file=self._results, width=width, highlight=False, soft_wrap=self.terminal)
        with console.capture() as captured:  # rich itself would end the program when a pipe is closed
            console.print(table)
        print(captured.get(), end="", file=self._results, flush=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def wants_traceback() -> bool:
    """Whether the environment asks for Python's own report of an unexpected error."""
    return bool(os.environ.get("CAMVIZ_TRACEBACK"))
