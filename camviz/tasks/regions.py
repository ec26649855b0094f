"""Regions of an image: a point or a mask file, as positions of a dense output."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError, RequestError
from camviz.io.opening import open_image
from camviz.types import View

Region = NDArray[np.bool_]
PREFIXES = ("point:", "mask:")


def split(text: str) -> tuple[str, str, str]:
    """Split a target into (class, "point" or "mask" or "", position)."""
    for kind in ("point", "mask"):
        if text.startswith(f"{kind}:"):
            return "", kind, text[len(kind) + 1 :]
        name, at, position = text.partition(f"@{kind}:")
        if at:
            return name.strip(), kind, position
    return text, "", ""


def parse_point(text: str, position: str) -> tuple[float, float]:
    """Return x and y of a position such as "120,80" in the target `text`."""
    point = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*", position)
    if not point:
        raise RequestError(
            f"no target '{text}': a point has two coordinates", "--target point:120,80, x and y in pixels"
        )
    return float(point[1]), float(point[2])


def check_mask(path: str) -> str:
    """Return the path of a mask file that exists."""
    if not Path(path).is_file():
        raise RequestError(f"no mask file '{path}'", "--target mask:FILE, an image that is nonzero in the region")
    return path


def region_of(point: tuple[float, float] | None, mask: str, shape: tuple[int, int], view: View) -> Region:
    """Return the positions (h, w) of a point, or else of a mask file."""
    return _of_point(point, shape, view) if point else _of_mask(mask, shape, view)


def share(point: tuple[float, float], view: View) -> tuple[float, float]:
    """Return the position of a pixel's center as fractions of the view."""
    left, top, right, bottom = view.box
    return (point[0] + 0.5 - left) / (right - left), (point[1] + 0.5 - top) / (bottom - top)


def _of_point(point: tuple[float, float], shape: tuple[int, int], view: View) -> Region:
    """Return the position that contains a pixel of the image."""
    width, height = view.image
    text = f"{point[0]:g},{point[1]:g}"
    if not (point[0] < width and point[1] < height):
        raise InputError(
            f"point {text} is outside the image of {width}×{height}", f"--target point:{width // 2},{height // 2}"
        )
    x, y = share(point, view)
    if not (0 <= x < 1 and 0 <= y < 1):
        raise InputError(f"point {text} is outside the model's crop", "--fit whole or --fit squash shows all")
    region = np.zeros(shape, np.bool_)
    region[int(y * shape[0]), int(x * shape[1])] = True
    return region


def _of_mask(path: str, shape: tuple[int, int], view: View) -> Region:
    """Return the positions whose centers lie in the region of a mask file of the image's size."""
    mask = read_mask(Path(path))
    if mask.shape[::-1] != view.image:
        sizes = [f"{width}×{height}" for width, height in (mask.shape[::-1], view.image)]
        raise InputError(f"mask '{path}' is {sizes[0]}, the image {sizes[1]}", "--target mask:FILE of the image's size")
    height, width = shape
    columns = np.floor([view.point((x + 0.5) / width, 0)[0] for x in range(width)]).astype(int)
    rows = np.floor([view.point(0, (y + 0.5) / height)[1] for y in range(height)]).astype(int)
    inside = np.outer((rows >= 0) & (rows < mask.shape[0]), (columns >= 0) & (columns < mask.shape[1]))
    region: Region = mask[np.ix_(rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1))] & inside
    if not region.any():
        raise InputError(
            f"mask '{path}' has no nonzero pixel, or a region too small for a grid of {width}×{height}",
            "--target point:X,Y explains a single position",
        )
    return region


def read_mask(path: Path) -> Region:
    """Read a mask (H, W) from an image file: nonzero pixels, or every palette color but the first."""
    with open_image(path) as image:
        values = np.asarray(image.convert("RGB") if image.mode in ("RGBA", "CMYK", "YCbCr") else image)
    return np.asarray(values.reshape(*values.shape[:2], -1).any(2), np.bool_)
