"""Open image files from strangers: only listed formats and regular files, with errors that name what is wrong."""

from __future__ import annotations

import errno
import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from camviz.errors import InputError, closest, did_you_mean
from camviz.io.paths import is_remote, kind_of_entry, read_bytes
from camviz.io.videos import is_video, starts_like_video

_RASTER = "jpg jpeg jpe jfif png bmp dib webp gif tif tiff ppm pgm pbm pnm jp2 avif apng"
SUFFIXES = frozenset(f".{name}" for name in _RASTER.split())
MAX_PIXELS = 178_956_970  # Pillow's own limit: a quarter of a gigabyte as RGB is 89 million, twice that is a bomb
BYTES_PER_PIXEL = 16  # measured: 12 to read, explain and draw an image of one bit per pixel, 15 with transparency
# Decoders that run in this process and whose header gives the size; EPS, for example, would start Ghostscript.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM", "WEBP", "TIFF", "JPEG2000", "TGA", "AVIF")
_COMPARED = 1000  # names in a folder that a missing file is compared with
_OUT_OF_MEMORY = ("out of memory", "insufficient memory", "failed to allocate")  # of decoders, as other errors


Reserve = Callable[[int], bool]
_reserve: ContextVar[Reserve] = ContextVar("reserve", default=lambda _need: True)


class Postponed(Exception):
    """An image that needs more bytes than there are at this time; not an error."""

    def __init__(self, need: int) -> None:
        super().__init__(f"{need} bytes")
        self.need = need


@contextmanager
def reserving(reserve: Reserve) -> Iterator[None]:
    """Within the block, ask for the bytes that an image needs before it is decoded; raise `Postponed` if refused."""
    token = _reserve.set(reserve)
    try:
        yield
    finally:
        _reserve.reset(token)


@contextmanager
def open_image(path: Path) -> Iterator[Any]:
    """Yield a Pillow image whose pixels are not decoded yet, chosen by content among the listed formats.

    Raise `InputError` for what cannot be opened, and for any error of a decoder within the block but a `MemoryError`.
    """
    from PIL import Image as PILImage
    from PIL import UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PILImage.open(_source(path), formats=_formats()) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise PILImage.DecompressionBombError
                if not _reserve.get()(need := image.width * image.height * BYTES_PER_PIXEL):
                    raise Postponed(need)
                yield image
    except (InputError, MemoryError, Postponed):
        raise
    except UnidentifiedImageError as error:
        raise _no_image(path) from error
    except PILImage.DecompressionBombError as error:
        raise InputError(
            f"'{path}' is too large: over {MAX_PIXELS // 10**6} million pixels", "shrink it first"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # decoders fail in many ways on damaged files
        raise _damaged(path, error) from error


def stored_bytes(image: Any, path: Path) -> bytes:
    """Return the contents of the file of an open image."""
    source = image.fp
    return source.getvalue() if isinstance(source, io.BytesIO) else path.read_bytes()


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """The listed formats that this Pillow knows."""
    return _FORMATS if find_spec("PIL.AvifImagePlugin") else _FORMATS[:-1]


def _source(path: Path) -> Path | io.BytesIO:
    """What Pillow opens: a regular file that is not empty, or the contents of an object."""
    if is_remote(path):
        data = _fetched(path)
        source: Path | io.BytesIO = io.BytesIO(data)
        size = len(data)
    else:
        kind = kind_of_entry(path)
        if kind == "a folder":
            raise IsADirectoryError
        if kind:
            raise InputError(f"'{path}' is {kind}, not a file", "copy its contents into a file")
        source, size = path, path.stat().st_size
    if size == 0:
        raise InputError(f"'{path}' is empty (0 bytes)", "copy or download it again")
    return source


def _fetched(url: Path) -> bytes:
    try:
        return read_bytes(url)
    except (FileNotFoundError, IsADirectoryError):
        raise
    except OSError as error:
        raise InputError(
            f"'{url}' cannot be read: {error.strerror}", "check the address, and who may read it"
        ) from error


# what is wrong


def no_file(path: Path) -> InputError:
    """Return the error for a path that does not exist, with the closest names in its folder."""
    by_stem: dict[str, str] = {}
    for name in islice(() if is_remote(path) else _names_in(path.parent), _COMPARED):
        by_stem.setdefault(os.path.splitext(name)[0], str(path.with_name(name)))
    near = [by_stem[stem] for stem in closest(path.stem, by_stem)]
    return InputError(f"no file '{path}'", did_you_mean(near) or "check the path; folders and quoted globs work too")


def _names_in(folder: Path) -> Iterator[str]:
    try:
        for entry in os.scandir(folder):
            if os.path.isdir(entry.path) or os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                yield entry.name
    except OSError:  # there is no such folder, or it cannot be listed
        return


def _unreadable(path: Path, error: OSError) -> InputError:
    """The error for a file that the system refuses, or that its decoder finds damaged."""
    if isinstance(error, FileNotFoundError):
        return no_file(path)
    if isinstance(error, IsADirectoryError) and (is_remote(path) or os.access(path, os.R_OK | os.X_OK)):
        return InputError(f"'{path}' is a folder", "give the folder itself as an input")
    if isinstance(error, (PermissionError, IsADirectoryError)):
        return InputError(f"'{path}' may not be read", f"chmod -R u+rX '{path}'")
    if error.errno == errno.ELOOP:
        return InputError(f"'{path}' is a link that leads back to itself", f"ls -l '{path}'")
    if error.errno:
        return InputError(f"'{path}' cannot be read: {error.strerror}", f"ls -l '{path}'")
    return _damaged(path, error)


def _damaged(path: Path, error: Exception) -> InputError:
    reason = str(error).partition("\n")[0] or type(error).__name__
    if any(words in reason.lower() for words in _OUT_OF_MEMORY):
        raise MemoryError(reason) from error
    return InputError(f"'{path}' is damaged: {reason}", "copy or download it again")


def _no_image(path: Path) -> InputError:
    """The error for a file in none of the listed formats."""
    start = b"" if is_remote(path) else _start(path)
    if _is_heif(start):
        return InputError(
            f"'{path}' is a HEIC/HEIF image, which Pillow does not read",
            f"convert it: sips or magick '{path}' out.png",
        )
    if is_video(path) or starts_like_video(start):
        return InputError(
            f"'{path}' is a video, here an image is wanted",
            f"camviz heatmap '{path}' explains it; ffmpeg -i '{path}' %05d.png makes images of it",
        )
    if start.lstrip().startswith((b"%!PS", b"\xc5\xd0\xd3\xc6", b"%PDF")):
        return InputError(f"'{path}' is a PostScript or PDF document, not an image", f"magick '{path}' out.png")
    return InputError(f"'{path}' is not an image{_looks_like(start)}", "its content decides, not its name")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(256)


def _is_heif(start: bytes) -> bool:
    brands = (b"heic", b"heix", b"mif1", b"msf1", b"hevc")
    return start[4:8] == b"ftyp" and any(brand in start[8:40] for brand in brands)


def _looks_like(start: bytes) -> str:
    """A guess, in brackets, at what a file that is no image holds."""
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return " (it is a web page)"
    if start.startswith(b"version https://git-lfs"):
        return " (it is a Git LFS pointer: run 'git lfs pull')"
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return " (it is text)" if text and (text.isprintable() or "\n" in text) else ""
