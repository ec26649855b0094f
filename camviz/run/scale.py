"""One scale for a whole run: its maps are computed first, and drawn from the ledger when all of them are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError
from camviz.render.colour import limits, settled
from camviz.run.drawn import Write, write_maps
from camviz.run.inputs import Input
from camviz.run.jobs import same_picture
from camviz.run.ledger import FileRow, InputRow, JobRow, Ledger
from camviz.run.records import Record
from camviz.run.written import Written
from camviz.types import Look

Failed = Callable[[str, InputError], None]


def values_of(ledger: Ledger, row: JobRow) -> Iterator[NDArray[np.float32]]:
    """All raw maps of a job, one picture after the other."""
    for one in list(ledger.inputs(row.id, "done")):
        for saved in ledger.maps(one.id):
            yield saved.values


def settled_for_run(ledger: Ledger, row: JobRow, look: Look) -> Look:
    """The look with the scale that all maps of a job share, as a number, if it asks for that."""
    return settled(look, values_of(ledger, row), ("run",)) if look.scale == "run" else look


def draw_run(
    ledger: Ledger, row: JobRow, look: Look, save_raw: bool, folder: Path, write: Write, failed: Failed
) -> Iterator[Written]:
    """Draw each picture of a job whose files are not there, or on another scale than the one of all its maps now.

    A picture that is gone or has changed is told to `failed` and goes without files.
    """
    drawn = settled_for_run(ledger, row, look)
    top = limits(np.empty(0), drawn.sign, drawn.scale).high
    for one in list(ledger.inputs(row.id, "done")):
        files = ledger.files(one.id)
        if one.files and len(files) == one.files and _there(folder, files) and _same(files, top):
            continue
        try:
            record = _drawn(ledger, one, drawn, save_raw, folder, write)
        except InputError as error:
            failed(one.name, error)
            continue
        ledger.add(row.id, record)
        yield from record.written


def _there(folder: Path, files: Sequence[FileRow]) -> bool:
    return all((folder / file.path).is_file() for file in files)


def _same(files: Sequence[FileRow], top: float) -> bool:
    """Whether the figures have this scale."""
    return all(file.facts.get("high") == top for file in files if file.kind != "raw")


def _drawn(ledger: Ledger, one: InputRow, look: Look, save_raw: bool, folder: Path, write: Write) -> Record:
    picture = same_picture(one)
    stamp = None if one.size is None or one.mtime_ns is None else (one.size, one.mtime_ns)
    source, saved = Input(one.path, one.name, stamp=stamp), ledger.maps(one.id)
    files = tuple(write_maps([each.restored(picture) for each in saved], source, folder, look, save_raw, write))
    return Record(source, one.seconds, tuple(saved), files, tuple(one.predictions))
