"""A run in its output folder: which images are done, which are missing, and adding records to the run database."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path

from camviz import __version__
from camviz.errors import OutputError
from camviz.io.inputs import Input
from camviz.io.paths import Sizes, is_remote, stamp
from camviz.run.database.database import Database, database_path, shard_databases
from camviz.run.database.records import Record
from camviz.run.database.rows import JobRow
from camviz.run.distributed.shard import Shard, Share
from camviz.run.job import Job
from camviz.run.outcome import Outcome
from camviz.run.output.folder import OutputFolder
from camviz.run.threads import threads
from camviz.types import ModelRequest

_SAME = 8  # images that fail with the same error of the model before the run is given up


@dataclass(frozen=True)
class Again:
    """What to compute of images that an earlier run has done, or that failed in it."""

    overwrite: bool = False  # everything
    retry: bool = False  # the failed images


@dataclass(eq=False)
class Run:
    """One job over the inputs of `listing`, in one output folder. `close` it, or use it as a context.

    With a `shard` only its images are computed, into a database of its own; images that are done in the folder's
    database count as done. Nothing is written before `open`; `look` only reads.
    """

    folder: Path
    job: Job
    listing: Iterable[Input]  # taken from once
    outcome: Outcome
    again: Again = Again()
    shard: Shard | None = None
    _row: JobRow | None = None
    output: OutputFolder | None = None
    reads_urls: bool = False  # whether an input is a URL
    _database: Database | None = None
    _found: Iterator[Input] | None = field(default=None, repr=False)
    _before: Database | None = None  # of the folder, beside that of a shard

    def __post_init__(self) -> None:
        self._new = False, False  # whether the database, and the folder, did not exist before
        self._tag = self.shard.tag if self.shard else ""
        self._share = Share(self.shard) if self.shard else None
        self._sizes = Sizes(self.folder)
        check_shards(self.folder, self.shard)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def complete(self) -> bool:
        """Return whether nothing is missing. Where a run exists, its folder is open afterwards."""
        there = [tag for tag in {"", self._tag} if database_path(self.folder, tag).exists()]
        if self.again.overwrite or not there:
            return False
        self.open()
        if not any(self._find(database) for database in (self._database, self._before)):
            return False
        missing = self._to_do()
        first = next(missing, None)
        self._found = missing if first is None else chain([first], missing)
        if first is None:
            self._begin()
            self._finish()
        return first is None

    def _to_do(self) -> Iterator[Input]:
        """The missing images; all images where one is missing and they are computed together."""
        if not self.job.settings.together or self.again.overwrite:
            return self._missing()
        listed: list[Input] = []
        self.listing = _noting(self.listing, listed)
        if next(self._missing(), None) is None:
            return iter(())
        self.listing = chain(listed, self.listing)
        self.again, self.outcome.before, self.outcome.failed_before = Again(overwrite=True), 0, 0
        return self._missing()

    def look(self) -> Iterator[Input]:
        """Return the missing images without writing or locking anything."""
        if database_path(self.folder, self._tag).is_file():
            self._database = Database(self.folder, shard=self._tag)
        self._read_before()
        return self._to_do()

    def open(self) -> OutputFolder:
        """Make and lock the folder and open its database."""
        if self.output is None:
            path = database_path(self.folder, self._tag)
            self._new = not path.exists(), not self.folder.exists()
            self.output = OutputFolder(self.folder, self._tag)
            self._database = Database(self.folder, write=True, shard=self._tag)
            self._read_before()
        return self.output

    def _read_before(self) -> None:
        if self.shard and database_path(self.folder).is_file():
            self._before = Database(self.folder)

    def _find(self, database: Database | None) -> JobRow | None:
        return next((row for row in database.jobs() if row.key == self.job.key), None) if database else None

    def inputs(self) -> Iterator[Input]:
        """Return the missing images as they are listed."""
        self.open()
        self._begin()
        found, self._found = self._found, None
        return found if found is not None else self._to_do()

    def _begin(self) -> None:
        assert self._database
        self._row = self._find(self._database) or self._database.begin(self.job.command, self.job.values, versions())
        if self.shard:
            self._database.begun(self._row.id)

    def _finish(self) -> None:
        """Note that every listed image is in the database."""
        if self._database and self._row and self._share:
            self._database.commit()
            self._database.finished(self._row.id, self._share.listed, self._share.taken, self._share.digest)

    def keep(self, records: Generator[Record]) -> Generator[Record]:
        """Add each record to the database and count it; raises `RequestError` where the model fails on every image."""
        with closing(_judged(records, lambda: self.outcome.before > 0)) as judged:
            for record in judged:
                self.database.add(self.row.id, record)
                self.outcome.count(record)
                yield record
        self._finish()

    @property
    def database(self) -> Database:
        """The open database."""
        assert self._database
        return self._database

    @property
    def row(self) -> JobRow:
        """The job's row in the open database."""
        assert self._row
        return self._row

    def smaller(self, size: int) -> None:
        """Remember the batch size that fits into memory for the next run."""
        if self._database and self._row:
            self._database.remember_batch(self._row.id, size)

    def close(self) -> None:
        """Commit and unlock."""
        database, self._database = self._database, None
        before, self._before = self._before, None
        output, self.output = self.output, None
        self.outcome.replaced += database.replaced if database else 0
        with ExitStack() as stack:
            if database and self._new[0] and not self.shard and database.empty():
                stack.callback(self._remove, database.path)
            for opened in (output, before, database):  # closed the other way round
                if opened:
                    stack.callback(opened.close)

    def _remove(self, path: Path) -> None:
        """Remove the database of a run that has not begun, and its folder if it was new: the request was wrong."""
        with suppress(OSError):
            path.unlink()
            if self._new[1]:
                self.folder.rmdir()

    def _missing(self) -> Iterator[Input]:
        self._row = self._row or self._find(self._database)
        jobs = [
            (database, row.id)
            for database in (self._database, self._before)
            if database and (row := self._find(database))
        ]
        for source in self._share.of(self.listing) if self._share else self.listing:
            self.reads_urls |= is_remote(source.path)
            if source.error:
                yield source
                continue
            now = source.stamp or stamp(source.path)
            if now and not self.again.overwrite and self._settled(jobs, source.name, now):
                continue
            yield replace(source, stamp=now)

    def _settled(self, jobs: Sequence[tuple[Database, int]], name: str, now: tuple[int, int]) -> bool:
        """Return whether an image is done with all of its files, or failed before."""
        known = next((found for database, job in jobs if (found := database.known(job, name))), None)
        if known is None or (known.size, known.mtime_ns) != now:
            return False
        if known.state == "failed":
            if self.again.retry:
                return False
            self.outcome.failed_before += 1
            return True
        if self.job.settings.drawn_later:
            self.outcome.before += 1
            return True
        if len(known.there) != known.files or not all(
            file.unchanged(self._sizes, known.finished) for file in known.there
        ):
            return False
        self.outcome.before += 1
        return True


def _noting(listing: Iterable[Input], listed: list[Input]) -> Iterator[Input]:
    """Yield the inputs and append each to `listed`."""
    for source in listing:
        listed.append(source)
        yield source


def _judged(records: Generator[Record], worked_before: Callable[[], bool]) -> Generator[Record]:
    """Yield the records, but raise the error of the request where the model works for no image.

    Failures that may concern the model are held back until one image works.
    """
    held: list[Record] = []
    works = False
    with closing(records):
        for record in records:
            works = works or record.done or worked_before()
            if record.request_error and not works:
                held.append(record)
                same = [
                    record_before
                    for record_before in held
                    if str(record_before.request_error) == str(record.request_error)
                ]
                if len(same) == _SAME:
                    raise record.request_error
                continue
            if works:
                yield from held
                held.clear()
            yield record
    if held and not worked_before():
        raise held[0].request_error or AssertionError
    yield from held


def check_shards(folder: Path, shard: Shard | None) -> None:
    """Raise `OutputError` where other shards than those of this division wait to be merged."""
    tags = shard_databases(folder)
    others = [tag for tag in tags if shard is None or not tag.endswith(f"-of-{shard.count}")]
    if others:
        problem = f"{len(others)} shard(s) that are not merged"
        if shard:
            problem += f", of {others[0].rpartition('-')[2]} and not of {shard.count}"
        raise OutputError(f"'{folder}' holds {problem}", f"camviz merge {folder}")


def versions() -> dict[str, str]:
    """Return what maps may depend on: the versions of Python, camviz and torch, and the number of threads."""
    found = {"camviz": __version__, "python": platform.python_version(), "threads": str(threads())}
    for package in ("torch", "torchvision"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def contents(request: ModelRequest) -> dict[str, str]:
    """Return digests of the files that a model is made of: other contents are another job, whatever their names."""
    named = (re.sub(r"(\.py):.*", r"\1", request.spec), request.weights, request.checkpoint, request.labels)
    files = {path: digest(path) for path in filter(None, named) if os.path.isfile(path)}
    return files | digests(Path(text) for _, text in request.inputs if os.path.exists(text))


def digests(paths: Iterable[Path | None]) -> dict[str, str]:
    """Return digests of files, and of the names, sizes and times in folders: other contents are another job."""
    found = {}
    for path in filter(None, paths):
        if path.is_dir():
            listed = [f"{file.relative_to(path)} {stamp(file)}" for file in sorted(path.rglob("*")) if file.is_file()]
            found[os.fspath(path)] = hashlib.sha256("\n".join(listed).encode("utf-8", "surrogateescape")).hexdigest()
        else:
            found[os.fspath(path)] = digest(path)
    return found


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's contents."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
