"""Who hears what: paths and listings on stdout, words for people on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

from camviz.errors import CamvizError


class Bar:
    """One bar on stderr: pictures done, and the forwards of a method that needs many. A `with` shows it."""

    def __init__(self, shown: bool) -> None:
        self._progress: Any = None
        if shown:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=RichConsole(stderr=True), transient=True)
            self._pictures = self._progress.add_task("pictures", total=None)
            self._forwards = self._progress.add_task("forwards", total=None, visible=False)

    def __enter__(self) -> Bar:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._progress:
            self._progress.stop()

    def written(self, pictures: int) -> None:
        """So many pictures are done."""
        if self._progress:
            self._progress.update(self._pictures, completed=pictures)

    def scored(self, done: int, total: int) -> None:
        """So many of the forwards of one map are done."""
        if self._progress:
            self._progress.update(self._forwards, completed=done, total=total, visible=done < total)


class Console:
    """Speaks to people, unless `quiet`; errors are told always."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._results = sys.stdout

    @contextmanager
    def only_results(self) -> Iterator[None]:
        """Within the block, what others print (a download, somebody's network) is for people too: on stderr."""
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

    def error(self, error: CamvizError) -> None:
        """An error in two lines: what is wrong, and what to type instead."""
        print(f"error: {_one_line(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"hint: {_one_line(error.hint)}", file=sys.stderr)

    def result(self, text: str) -> None:
        """A line for programs, on stdout."""
        print(text, file=self._results, flush=True)

    def bar(self) -> Bar:
        """A progress bar, there only when stderr is a terminal."""
        return Bar(not self.quiet and sys.stderr.isatty())

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
        """A listing on stdout: as wide as the terminal, or as it needs to be when piped. `right`: aligned right."""
        from rich.console import Console as RichConsole
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in columns:
            justify = "right" if column in right else "left"
            table.add_column(column, justify=justify, no_wrap=True, overflow="fold")  # type: ignore[arg-type]
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
