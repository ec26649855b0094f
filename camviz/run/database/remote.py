"""A database on a remote store: a local copy that is sent there now and then."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from camviz.errors import OutputError
from camviz.io.paths import read_bytes, write_bytes

_EVERY = 30.0  # seconds at least between two sendings: what a kill may cost
_SHARE = 20  # and so many times as long as sending takes


class Copy:
    """A local copy of a file of a remote store."""

    def __init__(self, url: Path) -> None:
        self._url = url
        self._folder = Path(tempfile.mkdtemp(prefix="camviz-"))
        self.path = self._folder / url.name
        self._next = time.monotonic() + _EVERY
        try:
            self.path.write_bytes(read_bytes(url))
        except FileNotFoundError:
            pass
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise OutputError(
                f"cannot read '{url}': {error.strerror}", "check the address, and who may read it"
            ) from error

    def send_now_and_then(self, db: sqlite3.Connection) -> None:
        """Send what is committed, unless that was done a moment ago."""
        if time.monotonic() < self._next:
            return
        started = time.monotonic()
        snapshot = self._folder / "snapshot"
        snapshot.unlink(missing_ok=True)
        with closing(sqlite3.connect(snapshot)) as other:
            db.backup(other)
        self._send(snapshot)
        self._next = time.monotonic() + max(_EVERY, _SHARE * (time.monotonic() - started))

    def send(self) -> None:
        """Send the file as it is."""
        self._send(self.path)

    def _send(self, file: Path) -> None:
        try:
            write_bytes(self._url, file.read_bytes())
        except OSError as error:
            raise OutputError(f"cannot write '{self._url}': {error.strerror}", "run it again to go on") from error

    def close(self) -> None:
        """Remove the local copy."""
        shutil.rmtree(self._folder, ignore_errors=True)
