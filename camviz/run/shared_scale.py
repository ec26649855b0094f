"""One color scale for a whole run: maps are computed first, and drawn from the run database when all are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from camviz.errors import CamvizError, InputError
from camviz.io.inputs import Failed, Input
from camviz.io.paths import Sizes
from camviz.render.color import limits, settled
from camviz.run.database.database import Database
from camviz.run.database.jobs import same_image
from camviz.run.database.records import Record
from camviz.run.database.rows import InputRow, JobRow
from camviz.run.outcome import Outcome
from camviz.run.output.files import Write
from camviz.run.output.map_files import write_maps
from camviz.run.output.written import Written
from camviz.types import Look, SaliencyMap

if TYPE_CHECKING:
    from camviz.run.resume import Run

Draw = Callable[[Input, list[SaliencyMap]], Iterable[Written]]


def values_of(database: Database, row: JobRow) -> Iterator[NDArray[np.float32]]:
    """Yield all raw maps of a job, image by image."""
    for row_input in list(database.inputs(row.id, "done")):
        with suppress(InputError):  # a damaged map fails when it is drawn
            for saved in database.maps(row_input.id):
                yield saved.values


def settled_for_run(database: Database, row: JobRow, look: Look) -> Look:
    """Return the look with the color scale of all maps of a job as a number, if it is `run`."""
    return settled(look, values_of(database, row), ("run",)) if look.scale == "run" else look


@dataclass(frozen=True)
class Drawer:
    """Draws the images of a job in a folder from the maps in its database.

    An image that is gone or has changed is passed to `failed` and gets no files. `urls`: whether images are read from
    URLs that the database names. `outcome` counts the images whose files were right before.
    """

    database: Database
    row: JobRow
    folder: Path
    failed: Failed
    urls: bool = False
    outcome: Outcome = field(default_factory=Outcome)

    def draw(self, draw: Draw, still_right: Callable[[dict[str, Any]], bool] = lambda _facts: True) -> Iterator[Record]:
        """Draw each image, unless its files exist and their facts are `still_right`; yield those that are drawn."""
        sizes = Sizes(self.folder)
        for row in list(self.database.inputs(self.row.id, "done")):
            files = self.database.files(row.id)
            exist = row.files and len(files) == row.files and all(file.unchanged(sizes, row.finished) for file in files)
            if exist and all(still_right(file.facts) for file in files if file.kind != "raw"):
                self.outcome.before += 1
                continue
            try:
                record = self._drawn(row, draw)
            except InputError as error:
                self.failed(row.name, error)
                continue
            if record:
                self.database.add(self.row.id, record)
                yield record

    def _drawn(self, row: InputRow, draw: Draw) -> Record | None:
        """Return an image with new files; None where there is nothing to draw: a video, or nothing was found."""
        saved = self.database.maps(row.id)
        if not saved:
            return None
        image = same_image(row, self.urls)
        source = row.source
        try:
            written = tuple(draw(source, [each.restored(image) for each in saved]))
        except CamvizError:
            raise
        except Exception as error:  # of values that no run has saved
            raise InputError(
                f"'{row.name}' cannot be drawn: {error}", "compute the image again: --overwrite"
            ) from error
        return Record(source, row.seconds, tuple(saved), written, tuple(row.predictions))


def draw_maps(drawer: Drawer, look: Look, save_raw: bool, write: Write) -> Iterator[Record]:
    """Draw each image of a job whose files are missing, or drawn on another scale than that of all maps now."""
    shared = settled_for_run(drawer.database, drawer.row, look)
    top = limits(np.empty(0), shared.sign, shared.scale).high if look.scale == "run" else None

    def draw(source: Input, maps: list[SaliencyMap]) -> Iterable[Written]:
        return write_maps(maps, source, drawer.folder, shared, save_raw, write)

    yield from drawer.draw(draw, lambda facts: top is None or facts.get("high") == top)


def drawer_of(run: Run, failed: Failed) -> Drawer:
    """Return the drawer of a run; it reads the URLs that the run's inputs name."""
    return Drawer(run.database, run.row, run.folder, failed, run.reads_urls)
