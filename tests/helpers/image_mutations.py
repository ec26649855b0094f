"""Reads many mutated images in one process: `python -m tests.helpers.image_mutations FOLDER SEED COUNT`.

Prints one JSON object: how many were read and refused, what else happened, the longest time and the memory taken.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as PILImage
from PIL import features

from camviz.io.images import read_image
from tests.helpers.mutations import mutate, run


def write(folder: Path) -> list[Path]:
    """One small file of every format that is read, and of its variants, as good as new."""
    random = np.random.default_rng(0)
    colors = PILImage.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8))
    smooth = PILImage.fromarray(np.linspace(0, 255, 24 * 32 * 3).reshape(24, 32, 3).astype(np.uint8))
    deep = random.integers(0, 65536, (24, 32, 3)).astype(np.uint16)
    turned = PILImage.Exif()
    turned[0x0112] = 6
    several = {"save_all": True, "append_images": [smooth]}
    saved: list[tuple[str, PILImage.Image, dict[str, Any]]] = [
        ("a.jpg", smooth, {"exif": turned}),
        ("progressive.jpg", colors, {"progressive": True}),
        ("cmyk.jpg", colors.convert("CMYK"), {}),
        ("a.png", colors, {"exif": turned}),
        ("palette.png", colors.convert("P"), {"transparency": 3}),
        ("alpha.png", colors.convert("RGBA"), {}),
        ("bits.png", colors.convert("1"), {}),
        ("moving.png", colors, several),
        ("a.gif", colors, several),
        ("a.bmp", colors, {}),
        ("a.ppm", colors, {}),
        ("a.tga", colors, {"compression": "tga_rle"}),
        ("lzw.tif", colors, {"compression": "tiff_lzw"}),
        ("jpeg.tif", colors, {"compression": "jpeg"}),
        ("fax.tif", colors.convert("1"), {"compression": "group4"}),
        ("float.tif", PILImage.fromarray(random.random((24, 32), np.float32)), {}),
        ("a.jp2", colors, {}),
        ("a.webp", smooth, {"exif": turned}),
        ("moving.webp", colors, several),
        *([("a.avif", smooth, {})] if features.check("avif") else []),
    ]
    for name, image, settings in saved:
        image.save(folder / name, **settings)
    for name in ("deep.png", "deep.tif"):
        cv2.imwrite(str(folder / name), deep)
    return sorted(folder.iterdir())


def read(path: Path) -> None:
    """Decode a file to pixels."""
    image = read_image(path)
    assert (image.pixels.dtype, image.pixels.shape) == (np.uint8, (image.height, image.width, 3))


def main(folder: Path, seed: int, count: int) -> None:
    """Read mutated images."""
    files = write(folder)
    for path in files:
        read(path)
    run(folder, files, seed, count, mutate, read)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
