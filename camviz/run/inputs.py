"""The pictures that the arguments mean, listed lazily, each with the name its results get."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from camviz.errors import InputError
from camviz.pictures import SUFFIXES

_MAGIC = "*?["


@dataclass(frozen=True)
class Input:
    """One picture to read. `name` is its path below the folder that all inputs share; `error` if there is none.

    `stamp` is the file's size in bytes and the time of its last change in ns, where they are known.
    """

    path: Path
    name: str
    error: InputError | None = None
    stamp: tuple[int, int] | None = None


def list_inputs(arguments: Sequence[str], skip: Path | None = None, stdin: TextIO | None = None) -> Iterator[Input]:
    """Files, folders (recursive), globs, and "-" for paths on standard input, in the order given.

    Names depend on the arguments alone: paths relative to the folder that holds all of them, so sub-folders are
    kept and two pictures never share a name. Files under `skip` (the output folder) are not taken from folders.
    """
    base = _base(arguments)
    skipped = os.path.abspath(skip) if skip else None
    seen: set[str] = set()
    once = len(arguments) == 1 and os.path.isdir(arguments[0])  # then no file comes twice, and none must be remembered
    for argument in arguments:
        found = False
        for path in _expand(argument, skipped, stdin):
            found = True
            absolute = os.path.abspath(path)
            if once:
                yield Input(path, _name(absolute, base))
            elif absolute not in seen:  # the same file named twice is one input
                seen.add(absolute)
                yield Input(path, _name(absolute, base))
        if not found:
            yield Input(Path(argument), argument, _nothing(argument))


def _expand(argument: str, skipped: str | None, stdin: TextIO | None) -> Iterator[Path]:
    if argument == "-":
        for line in stdin or sys.stdin:
            if line.strip():
                yield Path(line.rstrip("\r\n"))
    elif os.path.isdir(argument):
        yield from _walk(argument, skipped)
    elif not os.path.lexists(argument) and any(sign in argument for sign in _MAGIC):
        inside = skipped and _within(os.path.abspath(_fixed(argument)), skipped)
        for match in sorted(glob.glob(argument, recursive=True)):
            if skipped and not inside and _within(os.path.abspath(match), skipped):
                continue
            if os.path.isdir(match):
                yield from _walk(match, skipped)
            elif _is_picture(match):
                yield Path(match)
    else:
        yield Path(argument)


def _walk(folder: str, skipped: str | None, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """The pictures below a folder in sorted order; hidden files and folders are passed over.

    A link to a folder it lies in is not followed. A folder that cannot be listed is given itself: reading it
    tells why.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield Path(folder)
        return
    for entry in entries:
        if entry.name.startswith(".") or os.path.abspath(entry.path) == skipped:
            continue
        if entry.is_dir():
            yield from _walk(entry.path, skipped, (*above, real))
        elif _is_picture(entry.name):
            yield Path(entry.path)


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _base(arguments: Sequence[str]) -> str:
    """The folder that holds everything the arguments can mean."""
    roots = []
    for argument in arguments:
        if argument == "-":
            roots.append(os.getcwd())
        elif os.path.isdir(argument):
            roots.append(os.path.abspath(argument))
        elif any(sign in argument for sign in _MAGIC) and not os.path.lexists(argument):
            roots.append(os.path.abspath(_fixed(argument)))
        else:
            roots.append(os.path.dirname(os.path.abspath(argument)))
    try:
        return os.path.commonpath(roots)
    except ValueError:  # no arguments, or different drives
        return ""


def _fixed(pattern: str) -> str:
    """The folder of a glob that is there before anything is matched."""
    return os.path.dirname(pattern[: min(pattern.index(sign) for sign in _MAGIC if sign in pattern)]) or "."


def _within(absolute: str, folder: str) -> bool:
    return absolute == folder or absolute.startswith(os.path.join(folder, ""))


def _name(absolute: str, base: str) -> str:
    below = os.path.join(base, "")
    if base and absolute.startswith(below):
        return absolute[len(below) :].replace(os.sep, "/")
    relative = os.path.relpath(absolute, base) if base else absolute
    if relative.startswith(".."):  # named on standard input, elsewhere: its whole path keeps it apart
        relative = os.path.splitdrive(absolute)[1].lstrip("/\\")
    return relative.replace(os.sep, "/")


def _nothing(argument: str) -> InputError:
    if argument == "-":
        return InputError("no path came on standard input", "ls *.jpg | camviz heatmap -")
    if os.path.isdir(argument):
        return InputError(
            f"no pictures in folder '{argument}'",
            "looked for .jpg .png .webp .bmp .gif .tif …, also in sub-folders; videos are named one by one",
        )
    return InputError(f"nothing matches '{argument}'", "check the pattern; quote it so that the shell leaves it alone")
