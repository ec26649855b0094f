"""Reading images: any common file, upright, RGB, eight bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from camviz.io.depth import Window, to_bytes
from camviz.io.opening import open_image, stored_bytes
from camviz.types import Image

_ORIENTATION = 0x0112


def read_image(path: Path, window: Window | None = None) -> Image:
    """Decode a file: EXIF orientation applied, first frame, transparency composited on white, eight bits.

    More than eight bits are scaled by their depth or range, or so that `window` becomes black and white. Raises
    `InputError`, or `MemoryError` if there is too little memory.
    """
    with open_image(path) as image:
        if _is_deep_color(image):
            return _deep_color(image, path, window, stored_bytes(image, path))
        image.load()
        return decoded(image, path, window)


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
