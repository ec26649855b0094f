"""`camviz export`: the results of a run as a table or as arrays."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import typer

from camviz.cli.console import Console
from camviz.cli.registry import command
from camviz.cli.runs import JobKey, Run, RunOutput, opened
from camviz.errors import CamvizError

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
) -> int:
    """Export the results of a run to CSV, JSON lines or NPZ."""
    from camviz.run.export import write_export
    from camviz.run.outcome import Outcome
    from camviz.run.output.files import prepare_folder

    with opened("export", run, job, console) as (database, row):
        folder = output or database.folder
        prepare_folder(folder)
        outcome = Outcome()

        def failed(_name: str, error: CamvizError) -> None:
            outcome.failed += 1
            console.error(error)

        with console.bar() as bar:
            show = partial(replace, outcome)
            path = write_export(database, row, folder, format, failed, lambda done: bar.update(show(done=done)))
    console.path(path)
    return outcome.exit_status
