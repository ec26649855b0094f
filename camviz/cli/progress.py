"""Progress on stderr: images, forwards, rate and remaining time; a warning before anything that takes minutes."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from camviz.run.outcome import Outcome

if TYPE_CHECKING:
    from camviz.run.job import Settings

_MOMENT = 0.1  # seconds
_LONG = 60.0  # seconds that are worth a warning
_SURE = 3.0  # seconds after which the rate is known well enough


class Bar:
    """Progress on stderr: a bar on a terminal, otherwise a line every ten seconds. Shown within a `with` block.

    `say` prints a warning, once, as soon as it is known that the rest takes over a minute; `shorter` is its hint.
    """

    def __init__(
        self, bar: bool, lines: bool = False, every: float = 10.0, say: Callable[[str], None] = lambda _text: None
    ) -> None:
        self.shorter = ""
        self._say, self._warned = say, False
        self._map = (0, 0, 0.0)  # forwards of the current map: the first known number, all, and when
        self._progress: Any = None
        self._lines, self._every = lines, every
        self._started = self._said = time.monotonic()
        self._outcome, self._total, self._forwards = Outcome(), [0], ""
        self._counting: Callable[[], int | None] | None = None
        if bar:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            details = TextColumn("{task.fields[details]}")
            self._progress = Progress(*columns, details, console=RichConsole(stderr=True), transient=True)
            self._images = self._progress.add_task("images", total=None, details="")
            self._scored = self._progress.add_task("forwards", total=None, visible=False, details="")

    def __enter__(self) -> Bar:
        self._started = self._said = time.monotonic()
        if self._progress:
            self._progress.start()
            self._count()
        return self

    @property
    def live(self) -> bool:
        """Whether a bar is on the terminal."""
        return bool(self._progress and self._progress.live.is_started)

    def print_above(self, text: str) -> None:
        """Print text on the terminal above the bar."""
        self._progress.console.out(text, end="", highlight=False)

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
        done, elapsed = outcome.done + outcome.failed, time.monotonic() - self._started
        if done and elapsed > _SURE and not self._warned:
            self._count()
            self._warn(elapsed * (self._total[0] - outcome.seen) / done, f"{self._total[0] - outcome.seen} more images")
        if self._progress:
            self._progress.update(
                self._images, completed=outcome.seen, total=self._total[0] or None, details=self.details()
            )
        self._line()

    def scored(self, done: int, total: int, what: str = "forwards") -> None:
        """Show how many forward passes of a map, or frames of a video, are done."""
        self._forwards = f", {done} of {total} {what}" if done < total else ""
        now = time.monotonic()
        first, of, since = self._map
        if of != total or done <= first:
            self._map = done, total, now
        elif now - since > _SURE:
            self._warn((now - since) * (total - done) / (done - first), f"the other {total - done} {what}")
        if self._progress:
            seen = {"completed": done, "total": total, "visible": done < total, "description": what}
            self._progress.update(self._scored, **seen)
        self._line()

    def _warn(self, seconds: float, rest: str) -> None:
        if seconds > _LONG and not self._warned:
            self._warned = True
            hint = f"; {self.shorter}" if self.shorter else ""
            self._say(f"note: {rest} take about {duration(seconds)}{hint}")

    def frame(self, done: int, total: int) -> None:
        """Show how many frames of a video are done."""
        self.scored(done, total, "frames")

    def details(self) -> str:
        """Return rate, remaining time, failures and memory as text."""
        outcome = self._outcome
        seconds = time.monotonic() - self._started
        done = outcome.done + outcome.failed
        rate = done / seconds if seconds > 0 else 0.0
        left = self._total[0] - done - outcome.before - outcome.failed_before
        parts = [f"{rate:.3g}/s"] if done else []
        parts += [f"{duration(left / rate)} left"] if left > 0 and rate else []
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
        print(f"{self._outcome.seen}{of} {noun}{self._forwards}, {self.details()}", file=sys.stderr)


def duration(seconds: float) -> str:
    """Return a time as text: 12 s, 3 min 05 s, 2 h 10 min."""
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


def shorter(settings: Settings) -> str:
    """Return the options that shorten a job."""
    from camviz.methods import choose

    request = settings.request
    ways = ["fewer --metric"] if settings.command == "evaluate" else []
    chosen = choose(request.methods, request.settings, request.smooth) if request.methods else []
    slow = [method for method in chosen if method.needs("many forwards")]
    sampled = [method for method in chosen if "samples" in method.entry.settings]
    if sampled:
        counts = [int((method.entry.settings | method.settings)["samples"]) for method in sampled]
        ways.append(f"--set samples={max(2, max(counts) // 4)}")
    if len(chosen) > 1:
        ways.append("fewer --method")
    elif slow:
        ways.append("--method layercam, which needs 1 backward")
    if request.device == "cpu":
        ways.append("--device cuda on a GPU")
    return f"{' or '.join([', '.join(ways[:-1]), ways[-1]] if len(ways) > 1 else ways)} takes less" if ways else ""
