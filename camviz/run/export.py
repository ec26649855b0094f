"""Export the maps of a run as a table or as arrays."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from camviz.errors import InputError, OutputError, RequestError
from camviz.io.inputs import Failed
from camviz.io.paths import is_remote
from camviz.io.tables import cell
from camviz.run.database.database import Database
from camviz.run.database.jobs import files_of
from camviz.run.database.records import SavedMap, plain
from camviz.run.database.rows import InputRow, JobRow
from camviz.run.output.files import new_file, result_path, write_file
from camviz.run.output.map_files import name_parts

Tick = Callable[[int], None]  # so many images are done
COLUMNS = (
    "input", "path", "state", "method", "layer", "target", "index", "score", "probability", "predicted", "confidence",
    "model", "min", "max", "height", "width", "files", "seconds", "note", "error", "hint",
)  # fmt: skip


def write_export(
    database: Database,
    job: JobRow,
    folder: Path,
    format: str,
    failed: Failed = lambda _name, _error: None,
    tick: Tick = lambda _: None,
) -> Path:
    """Write maps.csv, maps.jsonl or maps.npz, complete or not at all; nothing is held in memory.

    An image whose maps cannot be written is passed to `failed`.
    """
    path = folder / f"maps.{format}"
    aside = Path(tempfile.gettempdir()) if is_remote(folder) else folder
    part = aside / f".{path.name}-{os.getpid()}.part"
    try:
        with new_file(part) as file:
            WRITERS[format](database, job, file, failed, tick)
        if is_remote(path):
            write_file(path, part.read_bytes())
        else:
            os.replace(part, path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}", "check the space and the rights there") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def rows(database: Database, job: JobRow, failed: Failed, tick: Tick) -> Iterator[dict[str, Any]]:
    """One row for each map; one for an image without any, such as a failed one. Empty places are None."""
    for done, row in enumerate(database.inputs(job.id), 1):
        files = database.files(row.id)
        columns = {"input": row.name, "path": row.address, "state": row.state, "seconds": row.seconds}
        columns |= {"error": row.error, "hint": row.hint}
        try:
            maps = [
                _of_map(each) | {"files": [f.path for f in files_of(each, files)]} for each in database.maps(row.id)
            ]
        except InputError as error:
            failed(row.name, error)
            continue
        for each in maps:
            yield dict.fromkeys(COLUMNS) | columns | each
        if not maps:
            yield dict.fromkeys(COLUMNS) | columns | {"files": [file.path for file in files]}
        tick(done)


def _of_map(saved: SavedMap) -> dict[str, Any]:
    names = ("method", "layer", "target", "index", "score", "probability", "model")
    values, (height, width) = saved.values, saved.shape
    extremes = {"min": values.min(), "max": values.max()} if values.size else {}
    facts = saved.fields.get("facts", {})
    columns = {name: saved.fields.get(name) for name in names} | extremes | {"height": height, "width": width}
    columns |= {name: facts.get(name) for name in ("predicted", "confidence", "note")}
    found: dict[str, Any] = plain(columns)
    return found


def write_csv(database: Database, job: JobRow, file: BinaryIO, failed: Failed, tick: Tick) -> None:
    """Columns as in COLUMNS, UTF-8; several files of a map are separated by a line feed."""
    text = io.TextIOWrapper(file, "utf-8", errors="surrogateescape", newline="")
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    for row in rows(database, job, failed, tick):
        table.writerow({name: cell(value) for name, value in row.items()} | {"files": cell("\n".join(row["files"]))})
    text.detach()


def write_jsonl(database: Database, job: JobRow, file: BinaryIO, failed: Failed, tick: Tick) -> None:
    """One object per line, with the same names as the columns; `files` is a list."""
    for row in rows(database, job, failed, tick):
        file.write((json.dumps(row) + "\n").encode("ascii"))


def write_npz(database: Database, job: JobRow, file: BinaryIO, failed: Failed, tick: Tick) -> None:
    """The raw maps (h, w) float32 by name: that of the image's file, with what tells the map from the others."""
    count = 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for done, row in enumerate(database.inputs(job.id, "done"), 1):
            try:
                arrays = {map_name(row, each): each.values for each in database.maps(row.id)}
            except InputError as error:
                failed(row.name, error)
                continue
            for name, values in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, values, allow_pickle=False)
                count += 1
            tick(done)
    if not count:
        raise RequestError(f"job '{job.key}' of 'camviz {job.command}' keeps no maps", "--format csv lists its files")


def map_name(row: InputRow, each: SavedMap) -> str:
    """As the map's file, without its suffix; bytes that are no UTF-8 are spelled out."""
    path = result_path(Path(), row.stem, name_parts(each.fields["method"], each.fields.get("facets", ())), "")
    return os.fspath(path).replace(os.sep, "/").encode("utf-8", "backslashreplace").decode("utf-8")


WRITERS: dict[str, Callable[[Database, JobRow, BinaryIO, Failed, Tick], None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "npz": write_npz,
}
