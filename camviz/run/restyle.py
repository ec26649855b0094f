"""Draw a run again from its database and images, in other colors. Needs neither the model nor torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

from camviz.errors import InputError
from camviz.io.inputs import Input
from camviz.run.database.database import Database
from camviz.run.database.jobs import rebuilt, same_image
from camviz.run.database.records import Record, failure
from camviz.run.database.rows import InputRow, JobRow
from camviz.run.output.files import Write, write_file
from camviz.run.output.map_files import write_maps
from camviz.run.output.written import Written
from camviz.run.shared_scale import settled_for_run
from camviz.types import Look, Request, SaliencyMap

Draw = Callable[[list[SaliencyMap]], Iterable[Written]]
Report = Callable[[str, InputError | None], None]  # an image is done, or failed


def restyle(
    database: Database, row: JobRow, look: Look, target: Database, report: Report, write: Write = write_file
) -> Iterator[Written]:
    """Draw the images of a job with another look, and add them to `target` as a job with that look.

    `target` may be the same database. Images that had failed stay failed. An image that is missing or changed is
    passed to `report` with its error, and keeps its old files.
    """
    job = rebuilt(Request, row.settings)
    made = target.begin(row.command, {**row.settings, "look": asdict(look)}, row.versions)
    drawn = settled_for_run(database, row, look)
    how: dict[str, Any] = {"folder": target.folder, "look": drawn, "save_raw": job.save_raw, "write": write}
    for one in list(database.inputs(row.id)):
        stamp = None if one.size is None or one.mtime_ns is None else (one.size, one.mtime_ns)
        source = Input(one.path, one.name, stamp=stamp)
        if one.state == "failed":
            target.add(made.id, _failed_before(source, one))
            continue
        try:
            record = _drawn(database, one, source, partial(write_maps, source=source, **how))
        except InputError as error:
            report(one.name, error)
            if made.key != row.key:
                target.add(made.id, failure(source, error))
            continue
        target.add(made.id, record)
        report(one.name, None)
        yield from record.written


def _drawn(database: Database, one: InputRow, source: Input, draw: Draw) -> Record:
    image = same_image(one)
    saved = database.maps(one.id)
    files = tuple(draw([each.restored(image) for each in saved]))
    return Record(source, one.seconds, tuple(saved), files, tuple(one.predictions))


def _failed_before(source: Input, one: InputRow) -> Record:
    return Record(
        source, one.seconds, error=InputError(one.error or "failed", one.hint or ""), traceback=one.traceback or ""
    )
