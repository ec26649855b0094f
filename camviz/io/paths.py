"""Where images come from and results go: a local path, or a URL such as s3://bucket/folder.

A URL is a `UPath` of universal-pathlib, which is imported when the first URL is used. It has the methods of a `Path`,
is annotated as such, and `is_remote` tells the two apart. Here is what `UPath` does not have: errors with a reason,
writing in one request, listing with stamps.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from camviz.errors import RequestError

Stamp = tuple[int, int]  # size in bytes, time of the last change in ns
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}  # these stores list by the beginning of a name, too


def is_url(text: str) -> bool:
    """Return whether the text begins with a scheme: s3://, gs://, file://."""
    return bool(_URL.match(text))


def is_remote(path: Path) -> bool:
    """Return whether a path is a URL."""
    return not isinstance(path, Path)


def place(text: str | Path) -> Path:
    """Return the path, or the `UPath`, that a text means. Raises `RequestError` for a scheme that cannot be used."""
    if "\0" in str(text):
        raise RequestError(f"'{text}' holds a null byte", "a path without it")
    scheme = _URL.match(text) if isinstance(text, str) else None
    if not scheme:
        return Path(text) if isinstance(text, str) else text
    text = str(text)
    if scheme[1].lower() == "file":
        return Path(unquote(text[scheme.end() :].removeprefix("localhost")))
    _check(scheme[1].lower(), text)
    from upath import UPath

    url: Any = UPath(scheme[0].lower() + text[scheme.end() :].rstrip("/"), use_listings_cache=False)
    return url  # type: ignore[no-any-return]  # with the methods of a Path


def _check(scheme: str, typed: str) -> None:
    from fsspec import get_filesystem_class

    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        package = f"camviz[{_EXTRAS[scheme]}]" if scheme in _EXTRAS else "fsspec[full]"
        raise RequestError(f"{scheme}:// needs a package: '{typed}'", f"pip install '{package}'") from error
    except ValueError as error:
        raise RequestError(f"unknown scheme '{scheme}://' in '{typed}'", "s3://, gs://, file://, or a path") from error


@contextmanager
def _reasons(url: Any) -> Iterator[tuple[Any, str]]:
    """Yield the file system and the path in it; raise whatever goes wrong as an `OSError` with a reason."""
    try:
        yield url.fs, url.path
    except Exception as error:  # each store has errors of its own
        kind = type(error) if isinstance(error, OSError) else OSError
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise kind(getattr(error, "errno", None) or errno.EIO, reason, str(url)) from error


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; of a store, whether objects lie below it."""
    if not is_remote(path):
        return os.path.isdir(path)
    with _reasons(path) as (store, name):
        return bool(store.isdir(name))


def kind_of_entry(path: Path) -> str:
    """Return what a path is that is no regular file, such as "a named pipe"; "" for a file. Raises `OSError`."""
    mode = os.stat(path).st_mode
    kinds = {stat.S_IFREG: "", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def read_bytes(path: Path) -> bytes:
    """Return the contents of a file or an object. Raises `OSError` with a reason."""
    if not is_remote(path):
        return path.read_bytes()
    with _reasons(path) as (store, name):
        data: bytes = store.cat_file(name)
        return data


def write_bytes(url: Path, data: bytes) -> None:
    """Write an object in one request: it is complete, or not there. Raises `OSError` with a reason."""
    with _reasons(url) as (store, name):
        store.pipe_file(name, data)


def entries(folder: Path) -> list[tuple[str, bool, Stamp]]:
    """Return what a folder of a store holds, by name: (name, is a folder, stamp)."""
    with _reasons(folder) as (store, path):
        listed = store.ls(path, detail=True)
    found = [(_last(entry["name"]), entry["type"] == "directory", _stamp(entry)) for entry in listed]
    return sorted(entry for entry in found if entry[0] and (entry[1] or entry[0] != folder.name))


def names_beginning(folder: Path, prefix: str) -> list[str]:
    """Return the names of files in a folder that begin so; where a store can do that, without listing all of it."""
    if not is_remote(folder):
        return [name for name in os.listdir(folder) if name.startswith(prefix)]
    if folder.protocol not in _EXTRAS:  # type: ignore[attr-defined]  # a UPath, typed as Path
        return [name for name, is_folder, _ in entries(folder) if name.startswith(prefix) and not is_folder]
    with _reasons(folder) as (store, path):
        names = [name.removeprefix(path).lstrip("/") for name in store.find(path, prefix=prefix)]
    return sorted(name for name in names if "/" not in name)


def matching(pattern: Path) -> list[tuple[Path, Stamp]]:
    """Return the objects that a pattern with * means, by name."""
    with _reasons(pattern) as (store, path):
        found = store.glob(path, detail=True)
    urls = ((place(store.unstrip_protocol(name)), info) for name, info in sorted(found.items()))
    return [(url, _stamp(info)) for url, info in urls if info["type"] == "file"]


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _stamp(info: dict[str, Any]) -> Stamp:
    """Return the size and the time that a store knows of an object; without a time, a number from its tag."""
    changed = next((info[key] for key in ("LastModified", "mtime", "updated", "created") if info.get(key)), None)
    if isinstance(changed, str):
        changed = datetime.fromisoformat(changed)
    if isinstance(changed, datetime):
        changed = round(changed.timestamp() * 1e6) / 1e6
    tag = str(info.get("ETag") or info.get("etag") or "")
    ns = round(changed * 1e6) * 1000 if changed is not None else zlib.crc32(tag.encode())
    return int(info.get("size") or 0), ns


def stamp(path: Path) -> Stamp | None:
    """Return the size and the time of the last change of a file or an object; None where there is none."""
    try:
        if is_remote(path):
            with _reasons(path) as (store, name):
                return _stamp(store.info(name))
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def checksum(path: Path) -> int:
    """Return the CRC-32 of a local file; -1 where there is none."""
    value = 0
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                value = zlib.crc32(block, value)
    except OSError:
        return -1
    return value


def absolute(path: Path) -> str:
    """Return the path as it is from every working directory."""
    return str(path) if is_remote(path) else os.path.abspath(path)


def relative(path: Path, folder: Path) -> str:
    """Return a path as it is from a folder on, with / between the parts."""
    return os.path.relpath(absolute(path), absolute(folder)).replace(os.sep, "/")


def leaves(name: str) -> bool:
    """Return whether a relative name with / between the parts leads out of its folder, on any system."""
    parts = re.split(r"[/\\]", name)
    drive = re.match(r"[A-Za-z]:", name) and (os.name == "nt" or len(parts[0]) == 2 < len(name))
    return not parts[0] or bool(drive) or ".." in parts or "\0" in name


class Sizes:
    """The sizes of files in a folder, by relative name; of a store, a whole sub-folder is listed at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listed: tuple[str | None, dict[str, int]] = (None, {})

    def __call__(self, name: str) -> int:
        """Return the size in bytes, or -1 where there is no such file."""
        if not is_remote(self.folder):
            try:
                return os.stat(f"{os.fspath(self.folder)}/{name}").st_size
            except OSError:
                return -1
        above, _, last = name.rpartition("/")
        if self._listed[0] != above:
            try:
                listed = entries(self.folder / above if above else self.folder)
            except FileNotFoundError:
                listed = []
            self._listed = above, {name: size for name, is_folder, (size, _) in listed if not is_folder}
        return self._listed[1].get(last, -1)
