"""A run in its output folder: what is done already, what is missing, and remembering what comes."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any

from camviz import __version__
from camviz.run.folder import OutputFolder
from camviz.run.inputs import Input
from camviz.run.ledger import JobRow, Ledger, key_of, ledger_path
from camviz.run.records import Record
from camviz.run.report import Report
from camviz.types import ModelRequest


@dataclass(frozen=True)
class Again:
    """What to do about pictures that were there before."""

    overwrite: bool = False  # everything once more
    retry: bool = False  # also those that failed
    together: bool = False  # all, as soon as one is missing: they share a scale


@dataclass(eq=False)
class Run:
    """One job over the inputs that `listing` gives, in one output folder. `close` it, or use it as a context.

    Nothing is made before `open`; `look` reads what is there.
    """

    folder: Path
    command: str
    settings: Mapping[str, Any]
    listing: Callable[[], Iterable[Input]]
    report: Report
    again: Again = Again()
    job: JobRow | None = None
    output: OutputFolder | None = None
    _ledger: Ledger | None = None
    _found: Iterator[Input] | None = field(default=None, repr=False)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def complete(self) -> bool:
        """Whether nothing is missing. Costs nothing where there was no run; leaves the folder open where there was."""
        if self.again.overwrite or not ledger_path(self.folder).exists():
            return False
        self.open()
        assert self._ledger
        if all(job.key != key_of(self.command, self.settings) for job in self._ledger.jobs()):
            return False
        missing = self._missing()
        first = next(missing, None)
        if first is not None and self.again.together:
            self.again, self.report.before, self.report.failed_before = Again(overwrite=True), 0, 0
            return False
        self._found = missing if first is None else chain([first], missing)
        return first is None

    def look(self) -> Iterator[Input]:
        """What is missing, without making or locking anything."""
        if ledger_path(self.folder).is_file():
            self._ledger = Ledger(self.folder)
            self.job = next(
                (job for job in self._ledger.jobs() if job.key == key_of(self.command, self.settings)), None
            )
        return self._missing()

    def open(self) -> OutputFolder:
        """Make and lock the folder, and open its ledger."""
        if self.output is None:
            self.output = OutputFolder(self.folder)
            self._ledger = Ledger(self.folder, write=True)
        return self.output

    def inputs(self) -> Iterator[Input]:
        """What is missing, as it is found."""
        self.open()
        assert self._ledger
        if self.job is None:
            self.job = self._ledger.begin(self.command, self.settings, versions())
        found, self._found = self._found, None
        return found if found is not None else self._missing()

    def keep(self, records: Iterable[Record]) -> Iterator[Record]:
        """Remember each picture as it comes, and count it."""
        assert self._ledger
        for record in records:
            assert self.job
            self._ledger.add(self.job.id, record)
            self.report.count(record)
            yield record

    def smaller(self, size: int) -> None:
        """So many pictures at once fit into memory: the next run begins with that."""
        if self._ledger and self.job:
            self._ledger.remember_batch(self.job.id, size)

    def close(self) -> None:
        """Commit and unlock."""
        ledger, self._ledger = self._ledger, None
        output, self.output = self.output, None
        try:
            if ledger:
                ledger.close()
        finally:
            if output:
                output.close()

    def _missing(self) -> Iterator[Input]:
        ledger = self._ledger
        if ledger and self.job is None:
            self.job = next((job for job in ledger.jobs() if job.key == key_of(self.command, self.settings)), None)
        anew = self.again.overwrite or not ledger or not self.job
        for source in self.listing():
            if source.error:
                yield source
                continue
            path = os.fspath(source.path)
            stamp = _stamp(path)
            if not anew and stamp and self._settled(ledger, source.name, stamp):
                continue
            yield Input(source.path, source.name, None, stamp)

    def _settled(self, ledger: Any, name: str, stamp: tuple[int, int]) -> bool:
        """Whether nothing is to be done for a picture: done before with all its files, or failed before."""
        known = ledger.known(self.job.id if self.job else 0, name)
        if known is None or (known.size, known.mtime_ns) != stamp:
            return False
        if known.state == "failed":
            if self.again.retry:
                return False
            self.report.failed_before += 1
            return True
        root = os.fspath(self.folder)
        if len(known.there) != known.files or not all(_size(f"{root}/{path}") == size for path, size in known.there):
            return False
        self.report.before += 1
        return True


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def versions() -> dict[str, str]:
    """What computes: for whoever asks later."""
    found = {"camviz": __version__, "python": platform.python_version()}
    for package in ("torch", "torchvision"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def contents(request: ModelRequest) -> dict[str, str]:
    """Digests of the files that a model is made of: other contents are another job, whatever their names."""
    named = (re.sub(r"(\.py):.*", r"\1", request.spec), request.weights, request.checkpoint, request.labels)
    found = {}
    for path in filter(None, named):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                found[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
