"""Open the database of an earlier run and choose a job in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camviz.cli.console import Console
from camviz.errors import RequestError
from camviz.io.paths import place

if TYPE_CHECKING:
    from camviz.run.database.database import Database
    from camviz.run.database.rows import JobRow

Run = Annotated[
    Path | None,
    typer.Argument(metavar="RUN", parser=place, help="The output folder of an earlier command.", show_default=False),
]
JobKey = Annotated[
    str | None,
    typer.Option(
        "--job",
        metavar="KEY",
        help="Job of the folder, by the start of its key. Default: the newest.",
        show_default=False,
    ),
]
RunOutput = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        parser=place,
        metavar="PATH",
        help="Folder for the results. Default: RUN.",
        show_default=False,
    ),
]
AllowUrls = Annotated[
    bool,
    typer.Option(
        "--allow-urls", help="Read images from the URLs that the run database names; only for runs you trust."
    ),
]


@contextmanager
def opened(
    command: str, run: Path | None, key: str | None, console: Console, write: bool = False
) -> Iterator[tuple[Database, JobRow]]:
    """Open the database of a folder, to read or to write, and one of its jobs; prints which, if there are several."""
    from camviz.run.database.database import Database
    from camviz.run.database.jobs import choose_job, describe

    if run is None:
        raise RequestError(
            f"no RUN: {command} needs the output folder of an earlier run", f"camviz {command} camviz_out"
        )
    with Database(run) as database:
        job = choose_job(database, key)  # before anything can be written
    with Database(run, write=write) as database:
        if key is None and len(database.jobs()) > 1:
            console.say(f"job: {describe(database, job)}, the newest of {len(database.jobs())} (--job chooses)")
        yield database, job
