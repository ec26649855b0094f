"""Open the SQLite file of a run. A new file gets its tables; a damaged, newer or foreign one is refused, untouched."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from camviz.errors import CamvizError, OutputError
from camviz.run.database.tables import TABLES, UPGRADE, VERSION

_NAMES = {"jobs", "inputs", "maps", "files"}
_WAL = 2  # byte 18 of a file that was not closed: what was written last may be in the -wal file beside it
_DAMAGE = ("malformed", "no such", "decode", "not a database", "unsupported file format")  # in messages of SQLite

T = TypeVar("T")


def damaged(path: Path, why: object) -> OutputError:
    """Return the error for a database whose content cannot be read."""
    return OutputError(f"the run database '{path}' is damaged: {why}", f"move '{path}' away to begin anew")


def guarded(path: Path, work: Callable[[], T]) -> T:
    """Return the result of work with a database; raise what is wrong with it as `OutputError`."""
    try:
        return work()
    except sqlite3.Error as error:
        raise refused(path, error) from error


def refused(path: Path, error: sqlite3.Error) -> OutputError:
    """Return what is wrong with a database, or with the place where it is."""
    if isinstance(error, sqlite3.OperationalError) and not any(words in str(error) for words in _DAMAGE):
        return OutputError(f"the run database '{path}' cannot be used: {error}", "check the space and the rights there")
    return damaged(path, error)


def open_to_write(file: Path, shown: Path) -> sqlite3.Connection:
    """Open a database, or create it. `shown` is its path in messages."""
    if file.exists() and file.stat().st_size:
        db, aside = open_to_read(file, shown, empty=True)  # an open for writing could change a foreign file
        db.close()
        remove(aside)
    db = sqlite3.connect(file, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = OFF")  # nothing is lost when the process dies, and making it costs no time
        db.execute("PRAGMA journal_mode = WAL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version < VERSION:
            script = UPGRADE if version else TABLES
            db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {VERSION}; COMMIT")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        db.close()
        raise
    return db


def open_to_read(file: Path, shown: Path, empty: bool = False) -> tuple[sqlite3.Connection, Path | None]:
    """Open a database without writing beside it; return it with a temporary folder to `remove`, or None.

    A file that was not closed, without the -shm file that belongs to its -wal file, as in a copied folder, is read from
    a copy, where SQLite can make that file. `empty`: whether a database without tables is accepted.
    """
    wal, shm = (file.with_name(f"{file.name}-{end}") for end in ("wal", "shm"))
    if _unclosed(file) and not shm.exists():
        return _open_copy(file, wal, shown, empty)
    try:
        return _connect(file, "mode=ro", shown, empty), None
    except sqlite3.OperationalError:  # where nothing may be written, the files beside it cannot be used
        if wal.exists() and wal.stat().st_size:
            return _open_copy(file, wal, shown, empty)
        return _connect(file, "immutable=1", shown, empty), None


def remove(folder: Path | None) -> None:
    """Remove the temporary folder of a copy."""
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def _unclosed(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(19)[18:] == bytes([_WAL])


def _open_copy(file: Path, wal: Path, shown: Path, empty: bool) -> tuple[sqlite3.Connection, Path]:
    folder = Path(tempfile.mkdtemp(prefix="camviz-"))
    try:
        shutil.copyfile(file, folder / file.name)
        with suppress(FileNotFoundError):
            shutil.copyfile(wal, folder / wal.name)
        return _connect(folder / file.name, "mode=rw", shown, empty), folder
    except BaseException:
        remove(folder)
        raise


def _connect(file: Path, how: str, shown: Path, empty: bool) -> sqlite3.Connection:
    address = f"{file.absolute().as_uri()}?{how}"
    db = sqlite3.connect(address, uri=True, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        _check(version, tables, shown, empty)
    except BaseException:
        db.close()
        raise
    return db


def _check(version: int, tables: set[str], shown: Path, empty: bool) -> None:
    if version > VERSION and "jobs" in tables:
        hint = "pip install --upgrade camviz, or --output elsewhere"
        raise OutputError(f"the database '{shown}' is of a newer camviz", hint)
    if not tables >= _NAMES and (tables or version or not empty):
        raise _foreign(shown)


def _foreign(shown: Path) -> CamvizError:
    return OutputError(f"'{shown}' is not a run database of camviz", "choose another folder; this file is left alone")
