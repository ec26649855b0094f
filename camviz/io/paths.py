"""Where images come from and results go: a path of this machine, or a URL such as s3://bucket/folder.

A `Url` is a path whose reading and writing go through fsspec, which is imported when the first one is used.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote

from camviz.errors import RequestError

Stamp = tuple[int, int]  # size in bytes, time of the last change in ns
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_PREFIXED = ("s3", "s3a", "gs", "gcs")  # stores that list by the beginning of a name

if TYPE_CHECKING:
    _Base = Path
else:
    _Base = type(Path())


def is_url(text: str) -> bool:
    """Whether it begins with a scheme: s3://, gs://, file://."""
    return bool(_URL.match(text))


def place(text: str | Path) -> Path:
    """The path, or the `Url`, that somebody typed. Raises `RequestError` for a scheme that cannot be used here."""
    if isinstance(text, Path):
        return text
    found = _URL.match(text)
    if not found:
        return Path(text)
    scheme = found[1].lower()
    if scheme == "file":
        return Path(unquote(text[found.end() :].removeprefix("localhost")))
    _check(scheme, text)
    return Url(text)


def _check(scheme: str, typed: str) -> None:
    from fsspec import get_filesystem_class

    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        needed = f"camviz[{_EXTRAS[scheme]}]" if scheme in _EXTRAS else "fsspec[full]"
        raise RequestError(f"what reads {scheme}:// is not installed: '{typed}'", f"pip install '{needed}'") from error
    except ValueError as error:
        raise RequestError(
            f"no such kind of place '{scheme}://' in '{typed}'", "s3://, gs://, file://, or a path"
        ) from error


class Url(_Base):
    """An object in a store, or a folder of them. Errors are those of files: `OSError` with a reason."""

    def __str__(self) -> str:
        scheme, colon, rest = super().__str__().replace(os.sep, "/").partition(":/")
        return f"{scheme}://{rest.lstrip('/')}" if colon else scheme

    def __fspath__(self) -> str:
        return str(self)

    def absolute(self) -> Url:
        """Itself."""
        return self

    def as_uri(self) -> str:
        """Itself, as text."""
        return str(self)

    @property
    def scheme(self) -> str:
        """Such as s3."""
        return str(self).partition("://")[0]

    def _store(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        found: tuple[Any, str] = url_to_fs(str(self), use_listings_cache=False)
        return found

    @contextmanager
    def _told(self) -> Iterator[tuple[Any, str]]:
        """The store and the place in it; whatever goes wrong is an `OSError` that says why."""
        try:
            yield self._store()
        except OSError as error:
            reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
            raise type(error)(error.errno or errno.EIO, reason, str(self)) from error
        except Exception as error:  # each store has errors of its own
            reason = " ".join(str(error).split()) or type(error).__name__
            raise OSError(errno.EIO, reason, str(self)) from error

    def read_bytes(self) -> bytes:
        """All of it."""
        with self._told() as (store, path):
            found: bytes = store.cat_file(path)
            return found

    def write_bytes(self, data: Any) -> int:
        """All of it at once: it is there complete, or not at all."""
        with self._told() as (store, path):
            store.pipe_file(path, bytes(data))
        return len(data)

    def open(self, mode: str = "r", *_: Any, **__: Any) -> IO[Any]:  # type: ignore[override]  # of a store only bytes are read
        """To read, as bytes."""
        return io.BytesIO(self.read_bytes())

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove it."""
        with self._told() as (store, path):
            store.rm_file(path)

    def exists(self, **_: Any) -> bool:
        """Whether there is such an object or folder."""
        with self._told() as (store, path):
            return bool(store.exists(path))

    def is_file(self, **_: Any) -> bool:
        """Whether it is an object."""
        with self._told() as (store, path):
            return bool(store.isfile(path))

    def is_dir(self, **_: Any) -> bool:
        """Whether objects lie below it."""
        with self._told() as (store, path):
            return bool(store.isdir(path))

    def stamp(self) -> Stamp:
        """Its size and when it was last changed."""
        with self._told() as (store, path):
            return _stamp(store.info(path))

    def stat(self, **_: Any) -> os.stat_result:
        """Its size and when it was last changed, in whole seconds."""
        size, changed = self.stamp()
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, size, *[changed // 10**9] * 3))

    def listed(self) -> list[tuple[str, bool, Stamp]]:
        """What lies in a folder, by name: (name, is a folder, stamp)."""
        with self._told() as (store, path):
            entries = store.ls(path, detail=True)
        found = [(_last(e["name"]), e["type"] == "directory", _stamp(e)) for e in entries]
        return sorted(one for one in found if one[0] and (one[1] or one[0] != self.name))

    def beginning(self, prefix: str) -> list[str]:
        """The names of the objects in a folder that begin so, without listing all of it where the store can do that."""
        if self.scheme not in _PREFIXED:
            return [name for name, folder, _ in self.listed() if name.startswith(prefix) and not folder]
        with self._told() as (store, path):
            found = [name.removeprefix(path).lstrip("/") for name in store.find(path, prefix=prefix)]
        return sorted(name for name in found if "/" not in name)

    def matching(self) -> list[tuple[Url, Stamp]]:
        """The objects that a pattern with * means, by name."""
        with self._told() as (store, path):
            found = store.glob(path, detail=True)
        return [
            (Url(f"{self.scheme}://{_plain(n)}"), _stamp(e)) for n, e in sorted(found.items()) if e["type"] == "file"
        ]


def _plain(name: str) -> str:
    return name.partition("://")[2] if "://" in name else name.lstrip("/")


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _stamp(info: dict[str, Any]) -> Stamp:
    """The size and the time of what a store tells of an object; without a time, a number from its tag."""
    changed = next((info[key] for key in ("LastModified", "mtime", "updated", "created") if info.get(key)), None)
    if isinstance(changed, str):
        changed = datetime.fromisoformat(changed)
    if isinstance(changed, datetime):
        changed = round(changed.timestamp() * 1e6) / 1e6
    tag = str(info.get("ETag") or info.get("etag") or "")
    ns = round(changed * 1e6) * 1000 if changed is not None else zlib.crc32(tag.encode())
    return int(info.get("size") or 0), ns


def stamp(path: Path) -> Stamp | None:
    """The size and the time of the last change of a file or an object; None where there is none."""
    try:
        if isinstance(path, Url):
            return path.stamp()
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def absolute(path: Path) -> str:
    """From wherever it is read."""
    return str(path) if isinstance(path, Url) else os.path.abspath(path)


class Sizes:
    """The sizes of files in a folder, by relative name; of a store a whole sub-folder is asked for at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[str | None, dict[str, int]] = (None, {})

    def __call__(self, name: str) -> int:
        """Bytes, or -1 where there is no such file."""
        if not isinstance(self._folder, Url):
            try:
                return os.stat(f"{os.fspath(self._folder)}/{name}").st_size
            except OSError:
                return -1
        above, _, last = name.rpartition("/")
        if self._seen[0] != above:
            try:
                there = (self._folder / above).listed()
            except FileNotFoundError:
                there = []
            self._seen = above, {own: size for own, folder, (size, _) in there if not folder}
        return self._seen[1].get(last, -1)
