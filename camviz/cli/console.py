"""Printing: paths and listings on stdout, notes, progress and errors on stderr."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Literal, TextIO

from camviz.cli.progress import Bar
from camviz.errors import CODE, CamvizError, RunError
from camviz.io.texts import visible


class StdoutError(RunError):
    """Standard output cannot be written."""


class Console:
    """Prints results on stdout, and notes on stderr unless `quiet`; errors always."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._results = sys.stdout
        self._bar: Bar | None = None

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
        if self._bar and self._bar.live and self.terminal:  # else the bar would be drawn over the text
            self._bar.print_above(text)
            return
        try:
            print(text, end="", file=self._results, flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StdoutError(f"cannot write to standard output: {error.strerror}", "run it again to resume") from error

    def bar(self) -> Bar:
        """Return the progress display: a bar if stderr is a terminal, otherwise a line every ten seconds."""
        terminal = sys.stderr.isatty()
        self._bar = Bar(terminal and not self.quiet, not terminal and not self.quiet, say=self.say)
        return self._bar

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


def own_stdin() -> TextIO | None:
    """Return standard input for a thread that may still wait for it when the process ends; Python cannot close that."""
    try:
        handle = os.dup(sys.stdin.fileno())
    except (OSError, io.UnsupportedOperation, AttributeError):
        return None
    return open(handle, encoding=sys.stdin.encoding, errors=sys.stdin.errors)
