"""The images that the arguments mean, listed lazily, each with the name its results get."""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
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

    `stamp` is the file's size in bytes and the time of its last change in ns, where they are known. `stem` begins the
    names of its results: the name without its suffix, or with it where another input in the folder has the same stem.
    """

    path: Path
    name: str
    error: InputError | None = None
    stamp: Stamp | None = None
    stem: str = ""

    def __post_init__(self) -> None:
        if not self.stem:
            object.__setattr__(self, "stem", without_suffix(self.name))


def list_inputs(arguments: Sequence[str], skip: Path | None = None, stdin: TextIO | None = None) -> Iterator[Input]:
    """Files, folders (recursive), globs, their URLs, and "-" for paths on standard input, in the order given.

    Names depend on the arguments alone: paths relative to the folder that holds all of them, so sub-folders are
    kept and two images never share a name. Files under `skip` (the output folder) are not taken from folders.
    """
    base = _base(arguments)
    skipped = _absolute(skip) if skip else None
    seen: set[str] = set()
    once = len(arguments) == 1 and _is_folder(arguments[0])  # then no file comes twice, and none must be remembered
    named = [list(_named(argument, skipped)) for argument in arguments]
    stems = _Stems([entry for found in named for entry in found])
    for argument, found in zip(arguments, named, strict=True):
        empty = True
        for path, stamp in _lines(stdin, stems) if argument == "-" else _files(found, skipped, stems):
            empty = False
            if isinstance(path, Input):
                yield path
                continue
            whole = _absolute(path)
            if not once:
                if whole in seen:  # the same file named twice is one input
                    continue
                seen.add(whole)
            name = _name(whole, base)
            yield Input(path, name, None, stamp, stems.of(whole, name))
        if empty:
            yield Input(place(argument), argument, _nothing(argument))


def without_suffix(name: str) -> str:
    """Return a name without the suffix of an image or a video; any other suffix is part of the name."""
    return os.path.splitext(name)[0] if _is_image(name) or is_video(Path(name)) else name


@dataclass(frozen=True)
class _Entry:
    """A file or a folder that an argument names; `stamp` where the listing of a store has it."""

    path: Path
    is_folder: bool
    stamp: Stamp | None = None


class _Stems:
    """The stems that several inputs of a folder share, in any case of letters: their results keep the suffix.

    A stem that is the whole name of another input is shared too, so no two results have the same name. Files that
    arguments name are known from the beginning, those in a folder once it is listed.
    """

    def __init__(self, entries: Sequence[_Entry]) -> None:
        self._named: dict[str, set[str]] = {}  # the files that arguments name, by folder
        self._shared: set[str] = set()  # as FOLDER/stem; FOLDER/ for all that are in it
        files = [entry.path for entry in entries if not entry.is_folder]
        for path in files:
            self._named.setdefault(_absolute(path.parent), set()).add(path.name)
        walked = [_absolute(entry.path) for entry in entries if entry.is_folder]
        for folder, path in {_absolute(path.parent): path.parent for path in files}.items():
            if any(_within(folder, root) for root in walked):
                self.add_listed(path)
            else:
                self.add(path, ())

    def add(self, folder: Path, names: Iterable[str]) -> None:
        """Note the inputs in a folder; those that arguments name are known."""
        whole = _absolute(folder)
        distinct = {*names, *self._named.get(whole, ())}
        counts = Counter(key for name in distinct for key in {name.casefold(), without_suffix(name).casefold()})
        self._shared.update(os.path.join(whole, key) for key, count in counts.items() if count > 1)

    def add_listed(self, folder: Path) -> None:
        """Note all images and videos in a folder, or that they are not known."""
        try:
            names = [name for name, *_ in entries(folder)] if is_remote(folder) else os.listdir(folder)
        except OSError:
            self._shared.add(os.path.join(_absolute(folder), ""))
        else:
            self.add(folder, (name for name in names if without_suffix(name) != name))

    def of(self, whole: str, name: str) -> str:
        """Return the stem of an input, by its absolute path and its name."""
        folder, file = os.path.split(whole)
        keys = {os.path.join(folder, ""), os.path.join(folder, without_suffix(file).casefold())}
        return without_suffix(name) if self._shared.isdisjoint(keys) else name


def _named(argument: str, skipped: str | None) -> Iterator[_Entry]:
    """The files and folders that an argument names, in sorted order; none for standard input."""
    if is_url(argument) and is_remote(url := place(argument)):
        with _reachable(url):
            yield from _named_url(url)
    elif argument != "-":
        yield from _named_path(os.fspath(place(argument)), skipped)


def _named_url(url: Path) -> Iterator[_Entry]:
    if "*" in str(url):
        for match, stamp in matching(url):
            if _is_image(match.name) and match.name[0] != ".":
                yield _Entry(match, False, stamp)
    else:
        yield _Entry(url, is_folder(url))


def _named_path(argument: str, skipped: str | None) -> Iterator[_Entry]:
    if os.path.lexists(argument) or not any(sign in argument for sign in _MAGIC):
        yield _Entry(Path(argument), os.path.isdir(argument))
        return
    inside = skipped and _within(os.path.abspath(_fixed(argument)), skipped)
    videos = is_video(Path(argument))  # *.mp4 names videos; * does not
    for match in sorted(glob.glob(argument, recursive=True)):
        if skipped and not inside and _within(os.path.abspath(match), skipped):
            continue
        folder = os.path.isdir(match)
        if folder or _is_image(match) or (videos and is_video(Path(match))):
            yield _Entry(Path(match), folder)


def _lines(stdin: TextIO | None, stems: _Stems) -> Iterator[tuple[Path | Input, Stamp | None]]:
    """Each path on standard input; an input with its error for a line that is no path.

    What is in its folder decides on the stem: the lines to come are not known.
    """
    folders: set[str] = set()
    for line in stdin or sys.stdin:
        typed = line.rstrip("\r\n")
        if not typed.strip():
            continue
        try:
            path = place(typed)
        except RequestError as error:  # of one line of many
            yield Input(Path(typed), typed, InputError(error.message, error.hint)), None
            continue
        whole = _absolute(path.parent)
        if whole not in folders:
            folders.add(whole)
            stems.add_listed(path.parent)
        yield path, None


def _files(named: Sequence[_Entry], skipped: str | None, stems: _Stems) -> Iterator[tuple[Path, Stamp | None]]:
    """Each file, and the images in each folder, with the stamp where the listing has it."""
    for entry in named:
        if not entry.is_folder:
            yield entry.path, entry.stamp
        elif is_remote(entry.path):
            with _reachable(entry.path):
                yield from _walk_url(entry.path, skipped, stems)
        else:
            yield from ((path, None) for path in _walk(os.fspath(entry.path), skipped, stems))


def _walk_url(folder: Path, skipped: str | None, stems: _Stems) -> Iterator[tuple[Path, Stamp | None]]:
    """The images below a folder of a store in sorted order, listed a folder at a time."""
    listed = [entry for entry in entries(folder) if not entry[0].startswith(".")]
    stems.add(folder, (name for name, has_objects, _ in listed if _is_image(name) and not has_objects))
    for name, has_objects, stamp in listed:
        path = folder / name
        if _absolute(path) == skipped:
            continue
        if has_objects:
            yield from _walk_url(path, skipped, stems)
        elif _is_image(name):
            yield path, stamp


def _walk(folder: str, skipped: str | None, stems: _Stems, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """The images below a folder in sorted order; hidden files and folders are passed over.

    A link to a folder it lies in is not followed. A folder that cannot be listed is given itself: reading it
    tells why.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        listed = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield Path(folder)
        return
    listed = [entry for entry in listed if not entry.name.startswith(".")]
    stems.add(Path(folder), (entry.name for entry in listed if _is_image(entry.name)))
    for entry in listed:
        if os.path.abspath(entry.path) == skipped:
            continue
        if _is_dir(entry):
            yield from _walk(entry.path, skipped, stems, (*above, real))
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
