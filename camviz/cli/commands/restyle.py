"""`camviz restyle`: redraw the maps of a run."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from camviz.cli.console import Console
from camviz.cli.option_groups import unset
from camviz.cli.options import Json, LookOptions
from camviz.cli.options.figure import changed
from camviz.cli.registry import command
from camviz.cli.runs import AllowUrls, JobKey, Run, RunOutput, opened
from camviz.errors import CamvizError
from camviz.io.paths import is_remote

if TYPE_CHECKING:
    from camviz.types import Look

    NewLookOptions = LookOptions
else:
    NewLookOptions = unset(LookOptions)


@command(
    section="Runs",
    order=1,
    examples=(
        "camviz restyle camviz_out --layout panel --colormap viridis",
        "camviz restyle camviz_out --sign both --scale run -o signed",
    ),
)
def restyle(
    console: Console,
    look: NewLookOptions,
    run: Run = None,
    job: JobKey = None,
    output: RunOutput = None,
    allow_urls: AllowUrls = False,
    as_json: Json = False,
) -> int:
    """Redraw a run with other colors, without the model."""
    from camviz.run.database.database import Database
    from camviz.run.database.jobs import heatmap_job
    from camviz.run.outcome import Outcome
    from camviz.run.output.folder import OutputFolder
    from camviz.run.restyle import restyle as redraw

    outcome = Outcome()
    folder = output or run or Path()
    inside = run is not None and (run == folder or (run.is_dir() and folder.is_dir() and _same(run, folder)))
    with ExitStack() as stack:
        with opened("restyle", run, job, console) as (database, row):  # everything is checked before anything is made
            new = _new(heatmap_job(row, "restyle").look, look)
        output_folder = stack.enter_context(OutputFolder(folder))
        target = stack.enter_context(Database(folder, write=True))
        database = target if inside else stack.enter_context(Database(database.folder))
        with console.bar() as bar:

            def failed(_name: str, error: CamvizError) -> None:
                outcome.failed += 1
                console.error(error)
                bar.update(outcome)

            for record in redraw(database, row, new, target, failed, output_folder.write, allow_urls, outcome):
                outcome.done += 1
                bar.update(outcome)
                for file in record.written:
                    outcome.written += 1
                    console.result(file.to_json()) if as_json else console.path(file.path)
        console.say(f"{outcome.summary()} in {folder}")
    return outcome.exit_status


def _same(run: Path, folder: Path) -> bool:
    return not is_remote(run) and not is_remote(folder) and os.path.samefile(run, folder)


def _new(before: Look, given: LookOptions) -> Look:
    """The look as it was, with what was given; a layout given alone decides about bar and caption anew."""
    from camviz.render import check

    look = changed(before, given)
    check(look)
    return look
