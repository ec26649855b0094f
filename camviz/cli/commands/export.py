"""`camviz export`: what a run found, as a table or as arrays."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from camviz.cli.console import Console
from camviz.cli.registry import command
from camviz.cli.runs import JobKey, Run, RunOutput, opened

Format = Annotated[
    Literal["csv", "jsonl", "npz"], typer.Option("--format", help="A row, or an object, per map; npz: the raw maps.")
]


@command(
    section="Runs",
    order=4,
    examples=(
        "camviz export camviz_out",
        "camviz export camviz_out --format npz -o arrays",
    ),
)
def export(
    console: Console,
    run: Run = None,
    format: Format = "csv",
    job: JobKey = None,
    output: RunOutput = None,
) -> None:
    """What a run found, for other programs: maps.csv, maps.jsonl or maps.npz. Needs no network."""
    from camviz.run.export import write_export
    from camviz.run.outcome import Outcome
    from camviz.run.output.files import prepare_folder

    with opened("export", run, job, console) as (database, row):
        folder = output or database.folder
        prepare_folder(folder)
        with console.bar() as bar:
            path = write_export(database, row, folder, format, lambda done: bar.update(Outcome(done=done)))
    console.result(str(path))
