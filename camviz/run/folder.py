"""An output folder while one run writes in it: locked, tidied, and never half a file."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
import time
from pathlib import Path

from camviz.errors import OutputError
from camviz.run.files import prepare_folder, write_file
from camviz.run.ledger import gone

_PARTS = re.compile(r"\.camviz-.*\.parts")
_PATIENCE = 2.0  # seconds: another run may just be ending


class OutputFolder:
    """Where a run writes. Making it makes the folder and locks it, as a context or until `close`.

    Raises `OutputError` where that cannot be, or while another run writes there. What a killed run left
    half-written is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        prepare_folder(path)
        self._lock = _locked(path)
        if self._lock is not None:
            for name in os.listdir(path):
                if _PARTS.fullmatch(name):
                    shutil.rmtree(path / name, ignore_errors=True)
        self._store = Store(path)

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def write(self, path: Path, data: bytes) -> None:
        """Write a file; it appears complete, or not at all. From any thread."""
        self._store.write(path, data)

    def close(self) -> None:
        """Unlock it; nothing but results is left."""
        self._store.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Store:
    """Complete files only, in a folder that is there: parts are written aside, in a folder of this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts = Path(tempfile.mkdtemp(".parts", ".camviz-", folder))

    def write(self, path: Path, data: bytes) -> None:
        """Write a file; it appears complete, or not at all. From any thread."""
        try:
            write_file(path, data, self._parts / f"{threading.get_ident()}.part")
        except OutputError as error:
            if not self._parts.is_dir():
                raise gone(self.folder) from error
            raise

    def close(self) -> None:
        """Remove the parts."""
        shutil.rmtree(self._parts, ignore_errors=True)


def _locked(folder: Path) -> int | None:
    """A lock on the folder that ends with this process, however it ends; None where there are no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    handle = os.open(folder, os.O_RDONLY)
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError as error:
            if time.monotonic() > until:
                os.close(handle)
                message = f"another camviz is writing in output folder '{folder}'"
                raise OutputError(message, "wait until it has ended, or --output elsewhere") from error
            time.sleep(0.1)
        except OSError:  # a network file system without locks
            os.close(handle)
            return None
