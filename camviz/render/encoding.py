"""Encode pixels as the bytes of a file, with the dots per inch."""

from __future__ import annotations

import struct
import zlib

from camviz.errors import RequestError
from camviz.render.color import one_of
from camviz.types import Figure, Look, Pixels

_SUFFIX = {"png": ".png", "jpg": ".jpg", "jpeg": ".jpg", "webp": ".webp"}
FORMATS = tuple(_SUFFIX)
_ROWS = 16  # every 16th row decides about the settings of a PNG
_FLAT = 0.2  # share of equal neighbors from which run lengths are better


def suffix(format: str) -> str:
    """Return the suffix of a file in that format, with its dot."""
    one_of("format", format, FORMATS)
    return _SUFFIX[format]


def _png(pixels: Pixels) -> list[int]:
    """Return the settings of OpenCV: compression 1, filter average; run lengths for flat areas, else Huffman codes.

    Measured on overlays of photographs: 1.6 times as fast as run lengths with the Paeth filter, 6 times as fast as
    Pillow's default, in files 3 to 8 % larger. On figures run lengths make files a tenth smaller in the same time;
    the deflate search of strategy DEFAULT takes 1.5 times as long for larger files.
    """
    import cv2

    flat = (pixels[::_ROWS, 1:] == pixels[::_ROWS, :-1]).all(-1)
    runs = bool(flat.size) and float(flat.mean()) > _FLAT
    strategy = cv2.IMWRITE_PNG_STRATEGY_RLE if runs else cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, strategy]
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # older versions of OpenCV have no such setting
        settings += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
    return settings


def encode(figure: Figure, look: Look) -> bytes:
    """Return the bytes of the figure's file, in the format of the look; the same pixels give the same bytes."""
    import cv2

    if figure.data is not None:
        return figure.data
    if figure.pixels is None:
        raise ValueError(f"the figure '{figure.kind}' has neither pixels nor data")
    ending = suffix(look.format)
    settings = {
        ".png": _png(figure.pixels) if ending == ".png" else [],
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 92],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, 90],
    }[ending]
    height, width = figure.pixels.shape[:2]
    try:
        done, encoded = cv2.imencode(ending, cv2.cvtColor(figure.pixels, cv2.COLOR_RGB2BGR), settings)
    except cv2.error:
        done = False
    if not done:
        raise RequestError(f"{width}×{height} pixels cannot be written as {look.format}", "--format png")
    return _with_dpi(bytes(encoded), ending, figure.dpi)


def _with_dpi(data: bytes, ending: str, dpi: int) -> bytes:
    """Return the file with its dots per inch: a pHYs chunk in PNG, the density of the JFIF header in JPEG."""
    if ending == ".png":
        chunk = b"pHYs" + struct.pack(">IIB", *[round(dpi / 0.0254)] * 2, 1)
        return data[:33] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    if ending == ".jpg" and data[6:11] == b"JFIF\0":
        return data[:13] + struct.pack(">BHH", 1, dpi, dpi) + data[18:]
    return data
