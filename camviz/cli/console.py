"""Who hears what: paths and listings on stdout, words for people on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from camviz.errors import CamvizError

T = TypeVar("T")


class Console:
    """Speaks to people, unless `quiet`; errors are told always."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

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
        print(text, flush=True)

    def progress(self, items: Iterable[T]) -> Iterator[T]:
        """Pass items on, counting them on a bar that is there only when stderr is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield from items
            return
        from rich.console import Console as RichConsole
        from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=RichConsole(stderr=True), transient=True) as bar:
            task = bar.add_task("pictures", total=None)
            for item in items:
                yield item
                bar.advance(task)

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
        width = None if sys.stdout.isatty() else 10_000
        console = RichConsole(file=sys.stdout, width=width, highlight=False, soft_wrap=sys.stdout.isatty())
        with console.capture() as captured:  # rich itself would end the program when a pipe is closed
            console.print(table)
        print(captured.get(), end="", flush=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def wants_traceback() -> bool:
    """Whether the environment asks for Python's own report of an unexpected error."""
    return bool(os.environ.get("CAMVIZ_TRACEBACK"))
