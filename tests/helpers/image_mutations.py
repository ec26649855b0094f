"""Reads many mutated images in one process: `python -m tests.helpers.image_mutations FOLDER SEED COUNT`.

Prints one JSON object: how many were read and refused, what else happened, the longest time and the memory taken.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as PILImage
from PIL import features

from camviz.errors import CamvizError
from camviz.io.images import read_image
from tests.helpers.mutations import LIMIT, mutate


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


def main(folder: Path, seed: int, count: int) -> None:
    """Read `count` mutated files and print what happened."""
    random = np.random.default_rng(seed)
    originals = [(path.name, path.read_bytes()) for path in write(folder)]
    for name, _ in originals:
        read_image(folder / name)
    outcomes: Counter[str] = Counter()
    failures, longest = [], 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        name, data = originals[number % len(originals)]
        path = folder / f"mutated-{name}"
        path.write_bytes(mutate(data, random))
        signal.alarm(LIMIT)
        start = time.perf_counter()
        try:
            image = read_image(path)
            outcomes["read"] += 1
            if image.pixels.dtype != np.uint8 or image.pixels.shape != (image.height, image.width, 3):
                failures.append(f"{name} {number}: {image.pixels.shape}")
        except CamvizError as error:
            outcomes["refused"] += 1
            if not error.hint or str(path) not in error.message:
                failures.append(f"{name} {number}: {error.message}")
        except Exception as error:
            failures.append(f"{name} {number}: {type(error).__name__}: {error}")
            (folder / f"failed-{number}-{name}").write_bytes(path.read_bytes())
        longest = max(longest, time.perf_counter() - start)
        signal.alarm(0)
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({**outcomes, "failures": failures, "longest": longest, "kilobytes": taken}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
