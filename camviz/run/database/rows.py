"""The rows of the run database as plain values: jobs, images, files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


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
    path: Path
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


@dataclass(frozen=True)
class FileRow:
    """A file in the output folder; `path` is relative to it."""

    path: str
    kind: str
    size: int
    facts: dict[str, Any]


@dataclass(frozen=True)
class Known:
    """The state of an image that resume needs: done or failed, its stamp, its files."""

    state: str
    size: int | None
    mtime_ns: int | None
    files: int
    there: tuple[tuple[str, int], ...]  # path and size of those that still belong to it
