"""Draw a run again from its database and images, in other colors. Needs neither the model nor torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from camviz.errors import InputError
from camviz.io.inputs import Failed
from camviz.io.videos import is_video
from camviz.run.database.database import Database
from camviz.run.database.jobs import rebuilt
from camviz.run.database.records import Record
from camviz.run.database.rows import InputRow, JobRow
from camviz.run.outcome import Outcome
from camviz.run.output.files import Write, write_file
from camviz.run.shared_scale import Drawer, draw_maps
from camviz.types import Look, Request


def restyle(
    database: Database,
    row: JobRow,
    look: Look,
    target: Database,
    failed: Failed,
    write: Write = write_file,
    urls: bool = False,
    outcome: Outcome | None = None,
) -> Iterator[Record]:
    """Draw the images of a job with another look, as a job with that look in `target`; yield each drawn image.

    `target` may be the same database. The maps are copied at once, so that an interrupted job has all of them and is
    continued by drawing what is missing. Images that had failed stay failed. An image that is missing or changed is
    passed to `failed` with its error. `urls`: whether images are read from URLs. `outcome` counts the images
    whose files were right before.
    """
    job = rebuilt(Request, row.settings)
    made = target.begin(row.command, {**row.settings, "look": asdict(look)}, row.versions)
    if made.key != row.key or target is not database:
        _copy(database, row, target, made, failed)
    for source in list(target.inputs(made.id, "done")):
        if is_video(Path(source.address)):
            failed(
                source.name,
                InputError(f"'{source.address}' is a video, and only images are redrawn", "run heatmap again"),
            )
    drawer = Drawer(target, made, target.folder, failed, urls, outcome or Outcome())
    yield from draw_maps(drawer, look, job.save_raw, write)


def _copy(database: Database, row: JobRow, target: Database, made: JobRow, failed: Failed) -> None:
    """Copy the images and maps of a job, without files: all that are new or newer, or none."""
    known = {source.name: source.finished for source in target.inputs(made.id)}
    with target.together():
        for source in list(database.inputs(row.id)):
            if known.get(source.name, "") < source.finished:
                try:
                    target.add(made.id, _without_files(database, source))
                except InputError as error:
                    failed(source.name, error)


def _without_files(database: Database, row: InputRow) -> Record:
    source = row.source
    if row.state == "failed":
        error = InputError(row.error or "failed", row.hint or "")
        return Record(source, row.seconds, error=error, traceback=row.traceback or "")
    maps = tuple(database.maps(row.id))
    return Record(source, row.seconds, maps, predictions=tuple(row.predictions), undrawn=bool(maps))
