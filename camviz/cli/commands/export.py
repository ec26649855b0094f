"""`camviz export`: the results of a run as a table or as arrays."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from camviz.cli.console import Console
from camviz.cli.registry import command
from camviz.cli.runs import JobKey, Run, RunOutput, opened

Format = Annotated[
    Literal["csv", "jsonl", "npz"], typer.Option("--format", help="csv, jsonl: one row per map; npz: the raw maps.")
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
    """Export the results of a run to CSV, JSON lines or NPZ."""
    from camviz.run.export import write_export
    from camviz.run.outcome import Outcome
    from camviz.run.output.files import prepare_folder

    with opened("export", run, job, console) as (database, row):
        folder = output or database.folder
        prepare_folder(folder)
        with console.bar() as bar:
            path = write_export(database, row, folder, format, lambda done: bar.update(Outcome(done=done)))
    console.result(str(path))
