"""Read a run back: a job and its settings, the files of a map, whether an image has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from camviz.errors import InputError, RequestError, closest
from camviz.io.images import read_image
from camviz.io.paths import is_remote, stamp
from camviz.run.database.database import Database
from camviz.run.database.records import SavedMap
from camviz.run.database.rows import FileRow, InputRow, JobRow
from camviz.run.database.typed import typed
from camviz.types import Image, Request

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def choose_job(database: Database, key: str | None) -> JobRow:
    """Return the job whose key begins with `key`, or the newest; raise `RequestError` that lists the jobs."""
    jobs, newest = database.jobs(), database.newest()
    if newest is None:
        raise RequestError(f"no job in '{database.path}'", "camviz heatmap photos/ -o RUN makes one")
    if key is None:
        return newest
    found = [job for job in jobs if job.key.startswith(key)]
    if len(found) == 1:
        return found[0]
    near = closest(key, [job.key for job in jobs], 1)
    mean = f"did you mean '{near[0]}'? " if near else ""
    listed = "; ".join(describe(database, job) for job in reversed(found or jobs))
    what = f"--job '{key}' could be {len(found)} jobs" if found else f"no job '{key}' in '{database.folder}'"
    raise RequestError(what, f"{mean}there is {listed}")


def describe(database: Database, job: JobRow) -> str:
    """Return a short description: key, command, methods, number of images, date."""
    counts = database.counts(job.id)
    what = " ".join([job.command, *job.settings.get("methods", ())])
    return f"{job.key} ({what}, {sum(counts.values())} image(s), {job.created[:16].replace('T', ' ')})"


def heatmap_job(row: JobRow, verb: str) -> Request:
    """Return the settings of a `camviz heatmap` job; raise `RequestError` for another command."""
    if row.command != "heatmap":
        raise RequestError(
            f"job '{row.key}' is of 'camviz {row.command}' and keeps no maps to {verb}",
            "--job chooses another, of 'camviz heatmap'",
        )
    return rebuilt(Request, row.settings)


def rebuilt(kind: type[T], settings: Mapping[str, Any]) -> T:
    """Return the settings of a job. Raises `RequestError` for a value of another type."""
    try:
        return typed(kind, settings)
    except ValueError as error:
        raise RequestError(f"the settings of the job are damaged: {error}", "--job chooses another job") from error


def files_of(saved: SavedMap, files: Sequence[FileRow]) -> list[FileRow]:
    """Return the files that show a map, also figures of several maps."""

    def shows(facts: Mapping[str, Any]) -> bool:
        return all(facts.get(name) == saved.fields.get(name) for name in ("method", "layer", "target", "index"))

    return [file for file in files if any(shows(facts) for facts in file.facts.get("maps", [file.facts]))]


def same_image(row: InputRow, urls: bool) -> Image:
    """Return the image of a row, upright; raise `InputError` if it is missing, damaged or changed.

    `urls`: whether images may be read from the URLs that the run database names.
    """
    check_same(row, urls)
    return read_image(row.path)


def check_same(row: InputRow, urls: bool) -> None:
    """Raise `InputError` for an image that has changed since the run, and for a URL unless `urls` may be read."""
    if is_remote(row.path) and not urls:
        message = f"'{row.path}' is not read: a URL that only the run database names"
        raise InputError(message, "--allow-urls, of restyle, replay and report; or give the URL as an image again")
    if row.size is None:
        return
    now = stamp(row.path)  # without one, reading it says what is wrong
    if now and now != (row.size, row.mtime_ns):
        raise InputError(f"'{row.path}' has changed since the run", "run 'camviz heatmap' again for its new content")
