"""The rows of the run database as plain values: jobs, images, files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from camviz.errors import InputError, RequestError
from camviz.io.inputs import Input
from camviz.io.paths import Sizes, Stamp, checksum, is_remote, place

CRC = "crc32"  # among the facts of a file


@dataclass(frozen=True)
class JobRow:
    """A job of the database."""

    id: int
    key: str
    command: str
    settings: dict[str, Any]
    versions: dict[str, str]
    created: str
    batch_size: int | None = None


@dataclass(frozen=True)
class InputRow:
    """An image of a job: done, or failed with its error."""

    id: int
    job: int
    name: str
    address: str  # the image's absolute path, or its URL
    size: int | None
    mtime_ns: int | None
    state: Literal["done", "failed"]
    files: int
    seconds: float
    finished: str
    predictions: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    hint: str | None = None
    traceback: str | None = None
    stem: str = ""

    @property
    def path(self) -> Path:
        """The path of the image. Raises `InputError` for a URL that cannot be used."""
        try:
            return place(self.address)
        except RequestError as error:
            raise InputError(error.message, error.hint) from error

    @property
    def stamp(self) -> Stamp | None:
        """The size and the time of the last change of the image, where they are known."""
        return None if self.size is None or self.mtime_ns is None else (self.size, self.mtime_ns)

    @property
    def source(self) -> Input:
        """The image as an input, with the stamp that it had. Raises `InputError` for a URL that cannot be used."""
        return Input(self.path, self.name, stamp=self.stamp, stem=self.stem)


@dataclass(frozen=True)
class FileRow:
    """A file in the output folder; `path` is relative to it. Among its facts is the CRC-32 of its content."""

    path: str
    kind: str
    size: int
    facts: dict[str, Any]

    def unchanged(self, sizes: Sizes, finished: str) -> bool:
        """Return whether the file is as it was written. One that was changed after its image was finished is read."""
        if sizes(self.path) != self.size:
            return False
        if CRC not in self.facts or is_remote(sizes.folder):
            return True
        path = sizes.folder / self.path
        changed = datetime.fromtimestamp(os.stat(path).st_mtime, UTC).isoformat(timespec="milliseconds")
        return changed <= finished or checksum(path) == self.facts[CRC]


@dataclass(frozen=True)
class Known:
    """The state of an image that resume needs: done or failed, its stamp, its files."""

    state: str
    size: int | None
    mtime_ns: int | None
    files: int
    finished: str
    there: tuple[FileRow, ...]  # those that still belong to it
