"""Reading images: any common file, upright, RGB, eight bits."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from camviz.errors import InputError, closest, did_you_mean
from camviz.io.depth import Window, to_bytes
from camviz.io.paths import is_remote, read_bytes
from camviz.io.videos import is_video, starts_like_video
from camviz.types import Image

SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".dib",
        ".webp",
        ".gif",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".jp2",
        ".avif",
        ".apng",
    ]
)
_ORIENTATION = 0x0112
_MOST = 1000  # names in a folder that a missing file is compared with
MAX_PIXELS = 178_956_970  # Pillow's own limit: a quarter of a gigabyte as RGB is 89 million, twice that is a bomb


def no_file(path: Path) -> InputError:
    """Return the error for a path that does not exist, with the closest names in its folder."""
    by_stem: dict[str, str] = {}
    for name in islice(() if is_remote(path) else _names_in(path.parent), _MOST):
        by_stem.setdefault(os.path.splitext(name)[0], str(path.with_name(name)))
    near = [by_stem[stem] for stem in closest(path.stem, by_stem)]
    return InputError(f"no file '{path}'", did_you_mean(near) or "check the path; folders and quoted globs work too")


def _names_in(folder: Path) -> Iterator[str]:
    try:
        for entry in os.scandir(folder):
            if entry.is_dir() or os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                yield entry.name
    except OSError:  # there is no such folder, or it cannot be listed
        return


def read_image(path: Path, window: Window | None = None) -> Image:
    """Decode a file: EXIF orientation applied, first frame, transparency composited on white, eight bits.

    More than eight bits are scaled by their depth or range, or so that `window` becomes black and white. Raises
    `InputError`.
    """
    from PIL import Image as PILImage
    from PIL import UnidentifiedImageError

    try:
        source, size = _fetched(path) if is_remote(path) else (path, path.stat().st_size)
        if size == 0:
            raise InputError(f"'{path}' is empty (0 bytes)", "copy or download it again")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PILImage.open(source) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise PILImage.DecompressionBombError
                if not _is_deep_color(image):
                    image.load()
                    return decoded(image, path, window)
                data = source.getvalue() if isinstance(source, io.BytesIO) else source.read_bytes()
                return _deep_color(image, path, window, data)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise no_file(path) from error
    except IsADirectoryError as error:
        raise InputError(f"'{path}' is a folder", "give the folder itself as an input") from error
    except PermissionError as error:
        raise InputError(f"'{path}' may not be read", f"chmod u+r '{path}'") from error
    except UnidentifiedImageError as error:
        if _is_heif(path):
            raise InputError(
                f"'{path}' is a HEIC/HEIF image, which Pillow does not read",
                f"convert it: sips or magick '{path}' out.png",
            ) from error
        if is_video(path) or starts_like_video(_start(path)):
            raise InputError(
                f"'{path}' is a video, here an image is wanted",
                f"camviz heatmap '{path}' explains it; ffmpeg -i '{path}' %05d.png makes images of it",
            ) from error
        raise InputError(f"'{path}' is not an image{_looks_like(path)}", "its content decides, not its name") from error
    except PILImage.DecompressionBombError as error:
        raise InputError(
            f"'{path}' is too large: over {MAX_PIXELS // 10**6} million pixels", "shrink it first"
        ) from error
    except Exception as error:  # decoders fail in many ways on damaged files
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"'{path}' is damaged: {reason}", "copy or download it again") from error


def _fetched(url: Path) -> tuple[io.BytesIO, int]:
    """An object's bytes, and how many they are."""
    try:
        data = read_bytes(url)
    except (FileNotFoundError, IsADirectoryError):
        raise
    except OSError as error:
        raise InputError(
            f"'{url}' cannot be read: {error.strerror}", "check the address, and who may read it"
        ) from error
    return io.BytesIO(data), len(data)


def decoded(image: Any, path: Path | None = None, window: Window | None = None) -> Image:
    """Return a Pillow image as an `Image`."""
    from PIL import ImageOps

    turned = image.getexif().get(_ORIENTATION, 1) != 1  # exif_transpose copies, even an upright image
    upright = ImageOps.exif_transpose(image) if turned else image
    if upright.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        values = np.asarray(upright)
        if values.dtype.kind == "i" and values.min(initial=0) >= 0:
            values = values.astype(np.uint32)
        gray, note = to_bytes(values, window)
        return Image(np.stack([gray] * 3, axis=-1), path, note=note)
    return Image(_rgb(upright), path, _bands(upright))


def _is_deep_color(image: Any) -> bool:
    """Return whether a file stores colors of 16 bits, of which Pillow reads the upper eight."""
    tiles: Any = getattr(image, "tile", None) or ()
    return image.mode in ("RGB", "RGBA") and any(";16" in str(tile[-1]) for tile in tiles)


def _deep_color(image: Any, path: Path | None, window: Window | None, data: bytes) -> Image:
    """Decode colors of 16 bits with OpenCV; transparency is composited on white."""
    import cv2
    from PIL import Image as PILImage
    from PIL import ImageOps

    values: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3:
        image.load()
        return Image(_rgb(image), path, _bands(image))
    colors, note = to_bytes(values[..., 2::-1], window)
    if values.shape[2] == 4:
        alpha = to_bytes(values[..., 3], (0, 65535))[0]
        colors = np.concatenate([colors, alpha[..., None]], axis=2)
    eight = PILImage.fromarray(np.ascontiguousarray(colors))
    eight.info["exif"] = image.getexif().tobytes()
    upright = ImageOps.exif_transpose(eight)
    return Image(_rgb(upright), path, _bands(upright), note)


def _rgb(image: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    from PIL import Image as PILImage

    if _has_alpha(image):
        image = image.convert("RGBA")
        image = PILImage.alpha_composite(PILImage.new("RGBA", image.size, "white"), image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _has_alpha(image: Any) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _bands(image: Any) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    return np.array(image.convert("RGBA")) if _has_alpha(image) else None


def _is_heif(path: Path) -> bool:
    start = _start(path)
    brands = (b"heic", b"heix", b"mif1", b"msf1", b"hevc")
    return start[4:8] == b"ftyp" and any(brand in start[8:40] for brand in brands)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(256)


def _looks_like(path: Path) -> str:
    """A guess, in brackets, at what a file that is no image holds."""
    start = _start(path)
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return " (it is a web page)"
    if start.startswith(b"version https://git-lfs"):
        return " (it is a Git LFS pointer: run 'git lfs pull')"
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return " (it is text)" if text.isprintable() or "\n" in text else ""
