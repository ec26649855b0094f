"""One color scale for a whole run: maps are computed first, and drawn from the run database when all are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError
from camviz.io.inputs import Failed, Input
from camviz.render.color import limits, settled
from camviz.run.database.database import Database
from camviz.run.database.jobs import same_image
from camviz.run.database.records import Record
from camviz.run.database.rows import FileRow, JobRow
from camviz.run.output.map_files import write_maps
from camviz.run.output.written import Written
from camviz.types import Look, SaliencyMap

if TYPE_CHECKING:
    from camviz.run.resume import Run


def values_of(database: Database, row: JobRow) -> Iterator[NDArray[np.float32]]:
    """Yield all raw maps of a job, image by image."""
    for one in list(database.inputs(row.id, "done")):
        for saved in database.maps(one.id):
            yield saved.values


def settled_for_run(database: Database, row: JobRow, look: Look) -> Look:
    """Return the look with the color scale of all maps of a job as a number, if it is `run`."""
    return settled(look, values_of(database, row), ("run",)) if look.scale == "run" else look


def draw_run(run: Run, look: Look, save_raw: bool, failed: Failed) -> Iterator[Written]:
    """Draw each image of a run whose files are missing, or drawn on another scale than that of all maps now.

    An image that is gone or has changed is passed to `failed` and gets no files.
    """
    shared = settled_for_run(run.database, run.row, look)
    top = limits(np.empty(0), shared.sign, shared.scale).high
    write = run.open().write

    def draw(source: Input, maps: list[SaliencyMap]) -> Iterable[Written]:
        return write_maps(maps, source, run.folder, shared, save_raw, write)

    yield from draw_later(run, draw, failed, lambda facts: facts.get("high") == top)


def draw_later(
    run: Run,
    draw: Callable[[Input, list[SaliencyMap]], Iterable[Written]],
    failed: Failed,
    still_right: Callable[[dict[str, Any]], bool] = lambda _facts: True,
) -> Iterator[Written]:
    """Draw each image of a run from its maps, unless its files exist and their facts are `still_right`."""
    database, row, folder = run.database, run.row, run.folder
    for one in list(database.inputs(row.id, "done")):
        files = database.files(one.id)
        if not database.maps(one.id):  # a video, or an image in which nothing was found
            continue
        exist = one.files and len(files) == one.files and _exist(folder, files)
        if exist and all(still_right(file.facts) for file in files if file.kind != "raw"):
            continue
        try:
            image = same_image(one)
            saved = database.maps(one.id)
            stamp = None if one.size is None or one.mtime_ns is None else (one.size, one.mtime_ns)
            source = Input(one.path, one.name, stamp=stamp)
            written = tuple(draw(source, [each.restored(image) for each in saved]))
        except InputError as error:
            failed(one.name, error)
            continue
        database.add(row.id, Record(source, one.seconds, tuple(saved), written, tuple(one.predictions)))
        yield from written


def _exist(folder: Path, files: Sequence[FileRow]) -> bool:
    return all((folder / file.path).is_file() for file in files)
