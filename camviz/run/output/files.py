"""Names of result files, and writing them: complete under the final name, or not at all."""

from __future__ import annotations

import errno
import os
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from camviz.errors import InputError, OutputError
from camviz.io.paths import is_remote, leaves, place, write_bytes

Write = Callable[[Path, bytes], None]


def check_folder(folder: Path, inputs: Sequence[str] = (), writes: bool = True) -> None:
    """Raise `OutputError` for a path that cannot be the output folder, such as an input; creates nothing.

    `writes`: whether the right to write is needed.
    """
    for argument in inputs:
        if is_remote(folder) and place(argument) == folder:
            raise OutputError(
                f"output '{folder}' is also an input: its results would be inputs next time",
                f"--output {folder / 'camviz_out'}",
            )
    if is_remote(folder):
        return
    for argument in inputs:
        if folder.is_dir() and os.path.isdir(argument) and os.path.samefile(folder, argument):
            raise OutputError(
                f"output '{folder}' is also an input: its results would be inputs next time",
                f"--output {folder / 'camviz_out'}",
            )
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise OutputError(
            f"output '{folder}' cannot be a folder: '{there}' is a file",
            "--output takes a folder; it is made if missing",
        )
    if writes and not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write in output folder '{there}'", "--output takes a folder you may write in")


def prepare_folder(folder: Path) -> None:
    """Create the output folder; raise `OutputError` with the reason where that is impossible."""
    check_folder(folder)
    try:
        if is_remote(folder):
            write_bytes(folder / ".camviz-probe", b"")
            (folder / ".camviz-probe").unlink()
            return
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".camviz-{os.getpid()}"
        new_file(probe).close()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"cannot write in output folder '{folder}': {error.strerror}", "--output takes a folder you may write in"
        ) from error


def result_path(folder: Path, stem: str, parts: Sequence[str], suffix: str) -> Path:
    """Return the path of a result: STEM_PART_PART.suffix, as photo_gradcam_tiger-cat.png; sub-folders are kept.

    `stem` is that of an `Input`, `parts` are what the result shows and what distinguishes it from the input's others.
    Raises `InputError` for a stem that leads out of the folder, as one of a run database may.
    """
    if leaves(stem):
        raise InputError(f"the name '{stem}' leads out of the output folder", "rename the image, or distrust the run")
    safe = [re.sub(r"[^\w.+-]+", "-", part).strip("-") for part in parts if part]
    return folder / ("_".join([stem, *safe]) + suffix)


def new_file(path: Path) -> BinaryIO:
    """Open a new file to write to, instead of whatever is there; no link is followed."""
    path.unlink(missing_ok=True)
    return path.open("xb")


def check_links(path: Path, folder: Path) -> None:
    """Raise `InputError` where a folder between an output folder and a file in it is a link."""
    for parent in list(path.relative_to(folder).parents)[:-1]:
        if (folder / parent).is_symlink():
            link = folder / parent
            raise InputError(f"'{link}' is a link, and links in an output folder are not followed", f"rm '{link}'")


def write_file(path: Path, data: bytes, part: Path | None = None) -> None:
    """Write a file under a temporary name, then rename it, so that it is never seen incomplete.

    `part` is that name, elsewhere on the same disk; without one it is beside the file.
    """
    beside = path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}-{os.getpid()}.part")  # no longer than the name
    try:
        if is_remote(path):  # a store does the same by itself
            write_bytes(path, data)
            return
        try:
            _write_and_rename(path, data, part or beside)
        except OSError as error:
            if part is None or error.errno != errno.EXDEV:
                raise
            _write_and_rename(path, data, beside)  # a sub-folder that is on another disk
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"the result of '{path.name}' has too long a name", "rename the image") from error
        raise OutputError(f"cannot write '{path}': {error.strerror}", "check the space and the rights there") from error


def _write_and_rename(path: Path, data: bytes, part: Path) -> None:
    if part.parent == path.parent:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with new_file(part) as file:
            file.write(data)
        try:
            os.replace(part, path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
