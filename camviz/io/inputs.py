"""The images that the arguments mean, listed lazily, each with the name its results get."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from camviz.errors import CamvizError, InputError, RequestError
from camviz.io.opening import SUFFIXES
from camviz.io.paths import Stamp, absolute, entries, is_folder, is_remote, is_url, matching, place
from camviz.io.videos import is_video

_MAGIC = "*?["
Failed = Callable[[str, CamvizError], None]  # hears the name of an input that failed, and why


@dataclass(frozen=True)
class Input:
    """One image to read. `name` is its path below the folder that all inputs share; `error` if there is none.

    `stamp` is the file's size in bytes and the time of its last change in ns, where they are known.
    """

    path: Path
    name: str
    error: InputError | None = None
    stamp: Stamp | None = None


def list_inputs(arguments: Sequence[str], skip: Path | None = None, stdin: TextIO | None = None) -> Iterator[Input]:
    """Files, folders (recursive), globs, their URLs, and "-" for paths on standard input, in the order given.

    Names depend on the arguments alone: paths relative to the folder that holds all of them, so sub-folders are
    kept and two images never share a name. Files under `skip` (the output folder) are not taken from folders.
    """
    base = _base(arguments)
    skipped = _absolute(skip) if skip else None
    seen: set[str] = set()
    once = len(arguments) == 1 and _is_folder(arguments[0])  # then no file comes twice, and none must be remembered
    for argument in arguments:
        found = False
        for path, stamp in _expand(argument, skipped, stdin):
            found = True
            if isinstance(path, Input):
                yield path
                continue
            whole = _absolute(path)
            if not once:
                if whole in seen:  # the same file named twice is one input
                    continue
                seen.add(whole)
            yield Input(path, _name(whole, base), stamp=stamp)
        if not found:
            yield Input(place(argument), argument, _nothing(argument))


def _expand(argument: str, skipped: str | None, stdin: TextIO | None) -> Iterator[tuple[Path | Input, Stamp | None]]:
    """Each path, with its stamp where the listing has it; an input with its error for a line that is no path."""
    if is_url(argument) and is_remote(url := place(argument)):
        with _reachable(url):
            yield from _expand_url(url, skipped)
    else:
        yield from ((path, None) for path in _expand_path(os.fspath(place(argument)), skipped, stdin))


def _expand_url(url: Path, skipped: str | None) -> Iterator[tuple[Path, Stamp | None]]:
    if "*" in str(url):
        yield from ((match, stamp) for match, stamp in matching(url) if _is_image(match.name) and match.name[0] != ".")
    elif is_folder(url):
        yield from _walk_url(url, skipped)
    else:
        yield url, None


def _walk_url(folder: Path, skipped: str | None) -> Iterator[tuple[Path, Stamp | None]]:
    """The images below a folder of a store in sorted order, listed a folder at a time."""
    for name, has_objects, stamp in entries(folder):
        one = folder / name
        if name.startswith(".") or _absolute(one) == skipped:
            continue
        if has_objects:
            yield from _walk_url(one, skipped)
        elif _is_image(name):
            yield one, stamp


def _expand_path(argument: str, skipped: str | None, stdin: TextIO | None) -> Iterator[Path | Input]:
    if argument == "-":
        for line in stdin or sys.stdin:
            typed = line.rstrip("\r\n")
            if typed.strip():
                try:
                    yield place(typed)
                except RequestError as error:  # of one line of many
                    yield Input(Path(typed), typed, InputError(error.message, error.hint))
    elif os.path.isdir(argument):
        yield from _walk(argument, skipped)
    elif not os.path.lexists(argument) and any(sign in argument for sign in _MAGIC):
        inside = skipped and _within(os.path.abspath(_fixed(argument)), skipped)
        named = is_video(Path(argument))  # *.mp4 names videos; * does not
        for match in sorted(glob.glob(argument, recursive=True)):
            if skipped and not inside and _within(os.path.abspath(match), skipped):
                continue
            if os.path.isdir(match):
                yield from _walk(match, skipped)
            elif _is_image(match) or (named and is_video(Path(match))):
                yield Path(match)
    else:
        yield Path(argument)


def _walk(folder: str, skipped: str | None, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """The images below a folder in sorted order; hidden files and folders are passed over.

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
        if _is_dir(entry):
            yield from _walk(entry.path, skipped, (*above, real))
        elif _is_image(entry.name):
            yield Path(entry.path)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself: reading it reports that
        return False


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _base(arguments: Sequence[str]) -> str:
    """The folder that holds everything the arguments can mean."""
    roots = []
    for argument in arguments:
        if argument == "-":
            roots.append(os.getcwd())
        elif is_url(argument):
            url = place(_fixed(argument) if "*" in argument else argument)
            roots.append(_absolute(url if "*" in argument or _is_folder(argument) else url.parent))
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


def _is_folder(argument: str) -> bool:
    with _reachable(argument):
        return is_folder(place(argument))
    return False


@contextmanager
def _reachable(url: Path | str) -> Iterator[None]:
    """Raises `RequestError` for a store that does not answer as it should."""
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        raise RequestError(f"cannot read '{url}': {error.strerror}", "check the address, and your keys") from error


def _absolute(path: Path) -> str:
    """A path that begins with /, also of a URL: what names are cut from."""
    return "/" + str(path).replace("://", ":/") if is_remote(path) else absolute(path)


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
    if _is_folder(argument):
        return InputError(
            f"no images in folder '{argument}'",
            "looked for .jpg .png .webp .bmp .gif .tif …, also in sub-folders; videos are named one by one",
        )
    return InputError(f"nothing matches '{argument}'", "check the pattern; quote it so that the shell leaves it alone")
