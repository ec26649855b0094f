"""Printing: paths and listings on stdout, notes, progress and errors on stderr."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Literal

from camviz.errors import CODE, CamvizError, RunError
from camviz.io.texts import visible
from camviz.run.outcome import Outcome

_MOMENT = 0.1  # seconds


class Bar:
    """Progress on stderr: a bar on a terminal, otherwise a line every ten seconds. Shown within a `with` block."""

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
            details = TextColumn("{task.fields[told]}")
            self._progress = Progress(*columns, details, console=RichConsole(stderr=True), transient=True)
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
        """Count the rate from `seconds` ago; the time before was preparation."""
        self._started = time.monotonic() - seconds

    def count(self, total: Callable[[], int | None]) -> None:
        """Set the function that counts the images; it is called in a thread, once progress is shown."""
        self._counting = total

    def _count(self) -> None:
        counting, self._counting = self._counting, None
        if counting:
            into = self._total
            thread = threading.Thread(target=lambda: into.__setitem__(0, counting() or 0), daemon=True)
            thread.start()
            thread.join(_MOMENT)  # most folders are counted by then

    def update(self, outcome: Outcome) -> None:
        """Show the outcome so far."""
        self._outcome = outcome
        self._forwards = ""
        if self._progress:
            self._progress.update(self._images, completed=outcome.seen, total=self._total[0] or None, told=self.told())
        self._line()

    def scored(self, done: int, total: int, what: str = "forwards") -> None:
        """Show how many forward passes of a map, or frames of a video, are done."""
        self._forwards = f", {done} of {total} {what}" if done < total else ""
        if self._progress:
            seen = {"completed": done, "total": total, "visible": done < total, "description": what}
            self._progress.update(self._scored, **seen)
        self._line()

    def frame(self, done: int, total: int) -> None:
        """Show how many frames of a video are done."""
        self.scored(done, total, "frames")

    def told(self) -> str:
        """Return rate, remaining time, failures and memory as text."""
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
    """Return the bytes of memory of this process: those it holds, or their maximum if only that is known."""
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


class StdoutError(RunError):
    """Standard output cannot be written."""


class Console:
    """Prints results on stdout, and notes on stderr unless `quiet`; errors always."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._results = sys.stdout

    @contextmanager
    def only_results(self) -> Iterator[None]:
        """Redirect what others print within the block (a download, the user's model) to stderr."""
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere if self.quiet else sys.stderr):
            yield

    @property
    def terminal(self) -> bool:
        """Return whether stdout is a terminal."""
        return self._results.isatty()

    def say(self, text: str) -> None:
        """Print a line on stderr, unless quiet."""
        if not self.quiet:
            print(visible(text), file=sys.stderr)

    def layers(self, paths: Sequence[str], model: str) -> None:
        """Print the layers that were chosen by default."""
        if paths:
            plural = "s" * (len(paths) > 1)
            self.say(
                f"layer{plural}: {', '.join(paths)} of {model} (--layer chooses {'others' if plural else 'another'})"
            )

    def error(self, error: CamvizError) -> None:
        """Print an error in two lines: the message and the hint, with the lines of code that the hint has."""
        print(f"error: {_one_line(error.message)}", file=sys.stderr)
        if error.hint:
            hint, _, code = error.hint.partition(CODE)
            print(f"hint: {_one_line(hint)}", *map(visible, code.splitlines()), sep="\n", file=sys.stderr)

    def result(self, text: str, styled: bool = False) -> None:
        """Print text on stdout; `styled` text has control sequences for colors."""
        self._write(f"{text if styled else visible(text)}\n")

    def path(self, path: Path) -> None:
        """Print the path of a written file on stdout, unchanged for other programs."""
        self._write(f"{visible(str(path)) if self.terminal else path}\n")

    def _write(self, text: str) -> None:
        """Write on stdout. Raises `RunError` where that is full; `BrokenPipeError` where nobody reads."""
        try:
            print(text, end="", file=self._results, flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StdoutError(f"cannot write to standard output: {error.strerror}", "run it again to resume") from error

    def bar(self) -> Bar:
        """Return the progress display: a bar if stderr is a terminal, otherwise a line every ten seconds."""
        terminal = sys.stderr.isatty()
        return Bar(terminal and not self.quiet, not terminal and not self.quiet)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
        """Print a table on stdout, as wide as the terminal; unlimited in a pipe. `right`: columns aligned right."""
        from rich.console import Console as RichConsole
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in columns:
            justify: Literal["left", "right"] = "right" if column in right else "left"
            table.add_column(column, justify=justify, no_wrap=True, overflow="fold")
        listed = [[Text(visible(cell)) for cell in row] for row in rows]
        for row in listed:
            table.add_row(*row)
        width = None if self.terminal else 10_000
        console = RichConsole(file=self._results, width=width, highlight=False, soft_wrap=self.terminal)
        with console.capture() as captured:  # rich would exit when the pipe is closed
            console.print(table)
        self._write(captured.get())


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))


def wants_traceback() -> bool:
    """Return whether CAMVIZ_TRACEBACK asks for the traceback of unexpected errors."""
    return bool(os.environ.get("CAMVIZ_TRACEBACK"))
