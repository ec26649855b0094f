"""The run database: one SQLite file in the output folder with every job, image, raw map and file.

Written by one process at a time (see `camviz.run.output.folder`), read by anybody, also while it is written. A
image is in it only when its files are complete. Neither torch nor OpenCV is needed to read it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from camviz.errors import OutputError
from camviz.io.paths import absolute, checksum, is_remote, leaves, names_beginning, relative
from camviz.run.database.opening import damaged, guarded, open_to_read, open_to_write, refused, remove
from camviz.run.database.records import UNDECODABLE, Record, SavedMap, damaged_map, plain
from camviz.run.database.remote import Copy
from camviz.run.database.rows import CRC, FileRow, InputRow, JobRow, Known
from camviz.run.database.tables import ABSORB, KNOWN, SHARDS, back, columns, saved, text
from camviz.run.database.typed import typed
from camviz.run.output.written import Written

NAME = "camviz.sqlite"
_EVERY = 1.0  # seconds between commits: what a kill may cost, beside the images under way
_OF_ANOTHER = "SELECT count(*) FROM files JOIN inputs ON inputs.id = files.input WHERE files.path = ? AND job != ?"
_TEXTS = ("name", "address", "error", "hint", "traceback", "stem")  # of an image, which may not be UTF-8
_INDIFFERENT = ("device", "batch_size")  # settings that change how fast a result comes, not what it is

T = TypeVar("T")


def key_of(command: str, settings: Mapping[str, Any]) -> str:
    """Return the resume key: a digest of the command and of the settings that decide its files."""
    deciding = {name: value for name, value in settings.items() if name not in _INDIFFERENT}
    return hashlib.sha256(json.dumps([command, plain(deciding)], sort_keys=True).encode()).hexdigest()[:16]


def database_path(folder: Path, shard: str = "") -> Path:
    """Return the path of a folder's database, or of one shard's, by its tag."""
    return folder / (f"camviz.{shard}.sqlite" if shard else NAME)


def shard_databases(folder: Path) -> list[str]:
    """Return the tags of the shards whose databases in a folder are not merged."""
    try:
        names = names_beginning(folder, "camviz.shard-")
    except FileNotFoundError:
        return []
    except OSError as error:
        if is_remote(folder):
            raise OutputError(f"cannot use '{folder}': {error.strerror}", "check the address, and your keys") from error
        return []
    found = [re.fullmatch(r"camviz\.(shard-\d+-of-\d+)\.sqlite", name) for name in names]
    return [match[1] for match in found if match]


class Database:
    """The database of an output folder or of one shard, as a context or until `close`; read-only without `write`.

    Raises `OutputError` where there is none to read, or where it cannot be read or written.
    """

    def __init__(self, folder: Path, write: bool = False, shard: str = "") -> None:
        self.folder, self.path, self._write = folder, database_path(folder, shard), write
        self._committed = time.monotonic()
        self.replaced = 0  # files of other jobs that were written over
        if not write and not self.path.is_file():
            if not shard and (tags := shard_databases(folder)):
                raise OutputError(
                    f"'{folder}' holds {len(tags)} shard(s) that are not merged", f"camviz merge {folder}"
                )
            raise OutputError(f"no run in '{folder}': it has no {NAME}", "camviz heatmap photos/ -o RUN makes one")
        for end in ("", "-wal", "-shm", "-journal") if not is_remote(self.path) else ():
            link = self.path.with_name(self.path.name + end)
            if link.is_symlink() and (write or end):
                raise OutputError(f"'{link}' is a link, and links in an output folder are not followed", f"rm '{link}'")
        self._copy = Copy(self.path) if is_remote(self.path) else None
        self.file = self._copy.path if self._copy else self.path  # on this machine
        self._aside: Path | None = None  # a temporary folder
        if write:
            self._db = self._guarded(partial(open_to_write, self.file, self.path))
        else:
            self._db, self._aside = self._guarded(partial(open_to_read, self.file, self.path))
        self._inode = os.stat(self.file).st_ino

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Commit, and leave a single file."""
        with ExitStack() as stack:
            stack.callback(remove, self._aside)
            if self._copy:
                stack.callback(self._copy.close)
            if self._copy and self._write:
                stack.callback(self._copy.send)
            stack.enter_context(closing(self._db))
            if self._write:
                self.commit()
                with suppress(sqlite3.Error):  # somebody is reading: the next run tidies up
                    self._db.execute("PRAGMA busy_timeout = 0")
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    self._db.execute("PRAGMA journal_mode = DELETE")

    def _guarded(self, work: Callable[[], T]) -> T:
        return guarded(self.path, work)

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that a query selects."""
        try:
            yield from self._db.execute(query, values)
        except sqlite3.Error as error:
            raise refused(self.path, error) from error

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Within the block values of the database are decoded; what is wrong with them is raised as `OutputError`."""
        try:
            yield
        except UNDECODABLE as error:
            raise damaged(self.path, f"{type(error).__name__}: {error}") from error

    # writing

    def begin(self, command: str, settings: Mapping[str, Any], versions: Mapping[str, str]) -> JobRow:
        """Return the row of a job; insert it if it is new."""
        key, made = key_of(command, settings), (plain(dict(settings)), dict(versions), _now())

        def work() -> None:
            self._db.execute(
                "INSERT OR IGNORE INTO jobs (key, command, settings, versions, created) VALUES (?, ?, ?, ?, ?)",
                (key, command, json.dumps(made[0]), json.dumps(made[1]), made[2]),
            )

        self._guarded(work)
        return next(job for job in self.jobs() if job.key == key)

    def add(self, job: int, record: Record) -> None:
        """Add an image, replacing its earlier row. Commits about once a second."""
        self._guarded(lambda: self._add(job, record))
        if time.monotonic() - self._committed > _EVERY:
            self.commit()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Commit the images that are added within the block at once, or none of them."""
        self.commit()
        self._committed = math.inf
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        finally:
            self.commit()

    def _add(self, job: int, record: Record) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("SAVEPOINT image")
        try:
            self._insert(job, record)
        except BaseException:  # Ctrl-C between two rows: what is committed at the end holds whole images only
            with suppress(sqlite3.OperationalError):  # a full disk has ended the whole transaction already
                self._db.execute("ROLLBACK TO image")
            raise
        self._db.execute("RELEASE image")

    def _insert(self, job: int, record: Record) -> None:
        source, error = record.source, record.error
        name = text(source.name)
        self._db.execute("DELETE FROM inputs WHERE job = ? AND name = ?", (job, name))
        size, mtime_ns = source.stamp or (None, None)
        row: list[Any] = [job, name, text(absolute(source.path)), size, mtime_ns]
        row += ["done" if record.done else "failed", len(record.written) + record.undrawn, record.seconds, _now()]
        row += [json.dumps(record.predictions)]
        row += [text(item) for item in (error.message, error.hint, record.traceback)] if error else [None] * 3
        row.append(text(source.stem))
        input = self._db.execute(f"INSERT INTO inputs VALUES (NULL{', ?' * len(row)})", row).lastrowid
        for position, item in enumerate(record.maps):
            self._db.execute(f"INSERT INTO maps VALUES (NULL{', ?' * 16})", (input, position, *columns(item)))
        for file in record.written:
            path = text(self.relative(file))
            self.replaced += self._db.execute(_OF_ANOTHER, (path, job)).fetchone()[0]
            facts = plain(file.facts)
            if not is_remote(file.path):
                facts[CRC] = checksum(file.path)
            row = [path, input, file.facts.get("kind", ""), file.size, json.dumps(facts)]
            self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", row)

    def relative(self, file: Written) -> str:
        """Return the path of a file relative to the output folder."""
        return relative(file.path, self.folder)

    def remember_batch(self, job: int, size: int) -> None:
        """Store the batch size that fits into memory."""
        self._guarded(lambda: self._db.execute("UPDATE jobs SET batch_size = ? WHERE id = ?", (size, job)))

    def begun(self, job: int) -> None:
        """Mark a shard's part of a job as incomplete."""
        self._guarded(lambda: self._db.executescript(f"{SHARDS} DELETE FROM shards WHERE job = {job};"))

    def finished(self, job: int, listed: int, taken: int, digest: str) -> None:
        """Mark a shard's part of a job as complete: `taken` of the `listed` images, with the digest of all names."""
        row = (job, listed, taken, digest)
        self._guarded(lambda: self._db.executescript(SHARDS))
        self._guarded(lambda: self._db.execute("INSERT OR REPLACE INTO shards VALUES (?, ?, ?, ?)", row))

    def mark_joined(self) -> None:
        """Mark the database as joined from shards."""
        self._guarded(lambda: self._db.executescript(SHARDS))

    def is_joined(self) -> bool:
        """Return whether the database was joined from shards."""
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'shards'"
        return next(self._rows(query), None) is not None

    def share(self, job: int) -> tuple[int, int, str] | None:
        """Return what `finished` stored of a job; None while it is incomplete."""
        try:
            row = self._db.execute("SELECT listed, taken, digest FROM shards WHERE job = ?", (job,)).fetchone()
        except sqlite3.Error:  # no such table: never complete
            return None
        return None if row is None else (row[0], row[1], row[2])

    def absorb(self, other: Path) -> None:
        """Copy everything from another database; its images replace those of the same job and name."""

        def work() -> None:
            self._db.execute("ATTACH ? AS other", (str(other),))
            try:
                stem = "o.stem" if self._db.execute("PRAGMA other.user_version").fetchone()[0] > 1 else "NULL"
                self._db.executescript(f"BEGIN IMMEDIATE; {ABSORB.format(stem=stem)} COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._db.execute("DETACH other")

        self._guarded(work)

    def commit(self) -> None:
        """Commit; raise `OutputError` if the folder was removed."""
        self._committed = time.monotonic()
        if self._db.in_transaction:
            self._guarded(lambda: self._db.execute("COMMIT"))
        try:
            same = os.stat(self.file).st_ino == self._inode
        except FileNotFoundError:
            same = False
        if not same:
            raise gone(self.folder)
        if self._copy and self._write:
            self._copy.send_now_and_then(self._db)

    # reading

    def known(self, job: int, name: str) -> Known | None:
        """Return the state of an image, or None."""
        rows = list(self._rows(KNOWN, job, text(name)))
        if not rows:
            return None
        with self.decoding():
            state, size, mtime_ns, files, finished = rows[0][:5]
            there = _file_rows(row[5:] for row in rows if row[5] is not None)
            return Known(state, size, mtime_ns, files, str(finished), there)

    def counts(self, job: int) -> dict[str, int]:
        """Return the number of images that are done, and that failed."""
        rows = self._rows("SELECT state, count(*) FROM inputs WHERE job = ? GROUP BY state", job)
        return {"done": 0, "failed": 0, **dict(rows)}

    def jobs(self) -> list[JobRow]:
        """Return all jobs, oldest first."""
        names = ("id", "key", "command", "settings", "versions", "created", "batch_size")
        jobs = []
        for values in self._rows(f"SELECT {', '.join(names)} FROM jobs ORDER BY id"):
            with self.decoding():
                row = dict(zip(names, values, strict=True))
                row |= {name: json.loads(row[name]) for name in ("settings", "versions")}
                jobs.append(typed(JobRow, row))
        return jobs

    def newest(self) -> JobRow | None:
        """Return the job with the newest image; without any image, the newest job."""
        newest = next(self._rows("SELECT job FROM inputs ORDER BY finished DESC, id DESC LIMIT 1"), None)
        jobs = self.jobs()
        return next((job for job in jobs if newest and job.id == newest[0]), jobs[-1] if jobs else None)

    def names(self, job: int) -> Iterator[str]:
        """Yield the names of a job's images."""
        for (name,) in self._rows("SELECT name FROM inputs WHERE job = ?", job):
            with self.decoding():
                yield back(name)

    def inputs(self, job: int, state: str | None = None) -> Iterator[InputRow]:
        """Yield the images of a job in the order of their names; `state`: only those done, or failed."""
        query = "SELECT * FROM inputs WHERE job = ? AND (? IS NULL OR state = ?) ORDER BY name"
        names = [column.name for column in dataclasses.fields(InputRow)]
        for values in self._rows(query, job, state, state):
            with self.decoding():
                row = dict(zip(names, values, strict=False))
                row |= {name: back(row[name]) for name in _TEXTS if row.get(name) is not None}
                row["predictions"] = json.loads(row["predictions"])
                if not row.get("stem") or not row["name"].startswith(row["stem"]):
                    row["stem"] = row["name"]
                image = typed(InputRow, row)
            yield image

    def empty(self) -> bool:
        """Return whether no image of any job is known."""
        return next(self._rows("SELECT id FROM inputs LIMIT 1"), None) is None

    def count_maps(self, job: int) -> int:
        """Return the number of raw maps of a job."""
        query = "SELECT count(*) FROM maps JOIN inputs ON inputs.id = maps.input WHERE job = ?"
        return int(next(self._rows(query, job))[0])

    def maps(self, input: int) -> list[SavedMap]:
        """Return the raw maps of an image in the order in which they were computed. Raises `InputError` if damaged."""
        rows = list(self._rows("SELECT * FROM maps WHERE input = ? ORDER BY position", input))
        try:
            return [saved(row[3:]) for row in rows]
        except UNDECODABLE as error:
            raise damaged_map(error) from error

    def files(self, input: int) -> list[FileRow]:
        """Return the files of an image in the folder that no other job has replaced."""
        rows = list(self._rows("SELECT path, kind, size, facts FROM files WHERE input = ? ORDER BY path", input))
        with self.decoding():
            return list(_file_rows(rows))


def _file_rows(rows: Iterable[Sequence[Any]]) -> tuple[FileRow, ...]:
    """Return the files of an image; one whose path leads out of the folder is not a file of the run."""
    files = [
        typed(FileRow, {"path": back(path), "kind": kind, "size": size, "facts": json.loads(facts)})
        for path, kind, size, facts in rows
    ]
    return tuple(file for file in files if not leaves(file.path))


def gone(folder: Path) -> OutputError:
    """Return the error for an output folder that was removed during the run."""
    return OutputError(f"the output folder '{folder}' was removed under way", "run it again to begin anew")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
