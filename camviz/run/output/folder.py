"""The output folder of a running command: locked, cleaned up, with complete files only."""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from camviz.errors import OutputError
from camviz.io.paths import is_remote
from camviz.run.database.database import gone
from camviz.run.output.files import check_links, prepare_folder, write_file

_PARTS = re.compile(r"\.camviz-.*\.parts")
_PART = re.compile(r"[0-9-]+\.part|camviz\.sqlite(-wal|-shm|-journal)?")  # the second while shards are merged
_PATIENCE = 2.0  # seconds: another run may just be ending


class OutputFolder:
    """The folder that a run writes to. Creating it creates and locks the folder, as a context or until `close`.

    Raises `OutputError` where that cannot be, or while another run writes there. What a killed run left
    half-written is removed. Shards, by their tags, write beside each other, each with a lock of its own.
    """

    def __init__(self, path: Path, shard: str = "") -> None:
        self.path = path
        prepare_folder(path)
        if is_remote(path):  # a store knows no locks
            self._locks: list[int | None] = []
            self._store = Store(path, Path(tempfile.mkdtemp(".parts", "camviz-")))
            return
        self._locks = [_locked(path, f"output folder '{path}'", shared=bool(shard))]
        try:
            if shard:
                parts, lock = _own_parts(path, shard)
                self._locks.append(lock)
                self._store = Store(path, parts)
                return
        except BaseException:
            self._unlock()
            raise
        if self._locks[0] is not None:
            for name in os.listdir(path):
                if _PARTS.fullmatch(name):
                    _remove_parts(path / name)
        self._store = Store(path)

    @property
    def parts(self) -> Path:
        """The folder of temporary files."""
        return self._store.parts

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def write(self, path: Path, data: bytes) -> None:
        """Write a file atomically; thread-safe."""
        self._store.write(path, data)

    def close(self) -> None:
        """Remove temporary files and unlock the folder."""
        self._store.close()
        self._unlock()

    def _unlock(self) -> None:
        while self._locks:
            lock = self._locks.pop()
            if lock is not None:
                os.close(lock)


class Store:
    """Write complete files to an existing folder; temporary files go to `parts`, or to a new folder."""

    def __init__(self, folder: Path, parts: Path | None = None) -> None:
        self.folder = folder
        self.parts = parts or Path(tempfile.mkdtemp(".parts", ".camviz-", folder))

    def write(self, path: Path, data: bytes) -> None:
        """Write a file atomically; thread-safe. Raises `InputError` where its sub-folder is a link."""
        if not is_remote(path):
            check_links(path, self.folder)
        try:
            write_file(path, data, self.parts / f"{os.getpid()}-{threading.get_ident()}.part")
        except OutputError as error:
            if not self.parts.is_dir():
                raise gone(self.folder) from error
            raise

    def close(self) -> None:
        """Remove the temporary files."""
        _remove_parts(self.parts)


def _remove_parts(folder: Path) -> None:
    """Remove temporary files of camviz and their folder, and nothing else that may be there."""
    if folder.is_symlink():
        return
    with suppress(OSError):
        for name in os.listdir(folder):
            if _PART.fullmatch(name):
                os.unlink(folder / name)
        folder.rmdir()


def _own_parts(folder: Path, shard: str) -> tuple[Path, int | None]:
    """Return the empty folder of a shard's temporary files and the lock on it, which locks the shard."""
    parts = folder / f".camviz-{shard}.parts"
    if parts.is_symlink():  # files of another folder would be removed through it
        raise OutputError(f"'{parts}' is a link, and links in an output folder are not followed", f"rm '{parts}'")
    while True:
        parts.mkdir(exist_ok=True)
        lock = _locked(parts, f"{shard.replace('-', ' ')} of '{folder}'")
        if lock is None:
            return parts, None
        try:
            same = os.stat(parts).st_ino == os.fstat(lock).st_ino
        except FileNotFoundError:
            same = False
        if same:  # and not one that its owner was just removing
            for name in filter(_PART.fullmatch, os.listdir(parts)):
                (parts / name).unlink(missing_ok=True)
            return parts, lock
        os.close(lock)


def _locked(folder: Path, what: str, shared: bool = False) -> int | None:
    """Lock a folder until this process ends; return None where the file system has no locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    handle = os.open(folder, os.O_RDONLY)
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return handle
        except BlockingIOError as error:
            if time.monotonic() > until:
                os.close(handle)
                message = f"another camviz is writing in {what}"
                raise OutputError(message, "wait until it has ended, or --output elsewhere") from error
            time.sleep(0.1)
        except OSError:  # a model file system without locks
            os.close(handle)
            return None
