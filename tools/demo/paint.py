"""Colors, patterns and backgrounds of the demo scenes. Colors are float32 RGB in 0..1, canvases (H, W, 3)."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
PATTERNS = ("flat", "gradient", "stripes", "checker", "dots", "cloud", "speckle")


def color(rng: np.random.Generator) -> Floats:
    """A color that is neither black nor white: any hue, from pastel to strong."""
    hue = rng.random() * 6
    saturation, value = rng.uniform(0.15, 0.9), rng.uniform(0.3, 1.0)
    wheel = np.clip(np.abs((hue + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return np.asarray(value * (1 - saturation + saturation * wheel), np.float32)


def contrasting(rng: np.random.Generator, others: Sequence[Floats], tries: int = 6) -> Floats:
    """Of a few random colors the one farthest from all `others`."""
    found = [color(rng) for _ in range(tries)]
    return max(found, key=lambda c: min(float(np.abs(c - other).sum()) for other in others))


def shade(rng: np.random.Generator, base: Floats, least: float = 0.1, most: float = 0.35) -> Floats:
    """`base` mixed with white or black, with the side that has more room."""
    goal = 1.0 if base.mean() < 0.5 else 0.0
    mix = rng.uniform(least, most)
    return np.asarray(base * (1 - mix) + goal * mix, np.float32)


def pattern(rng: np.random.Generator, name: str, width: int, height: int, unit: float) -> Floats:
    """Values 0..1, (height, width); `unit` is the period of the pattern in pixels."""
    if name == "flat":
        return np.zeros((height, width), np.float32)
    if name == "cloud":
        return cloud(rng, width, height, unit * 2)
    if name == "speckle":
        return cloud(rng, width, height, max(1.0, unit / 6))
    turn, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi, 2)
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    along = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))
    if name == "gradient":
        return np.asarray((along - along.min()) / max(float(np.ptp(along)), 1.0), np.float32)
    pace = np.float32(2 * np.pi / unit)
    wave = np.sin(pace * along + np.float32(phase[0]))
    sharp = np.float32(unit / 5)  # an edge about one pixel wide, however large the image
    if name == "stripes":
        return np.asarray(np.clip(wave * sharp + 0.5, 0, 1), np.float32)
    across = y * np.float32(np.cos(turn)) - x * np.float32(np.sin(turn))
    wave = wave * np.sin(pace * across + np.float32(phase[1]))
    return np.asarray(np.clip((wave - (0.3 if name == "dots" else 0)) * sharp + 0.5, 0, 1), np.float32)


def cloud(rng: np.random.Generator, width: int, height: int, unit: float) -> Floats:
    """Smooth noise 0..1, (height, width), with blobs of `unit` pixels."""
    import cv2

    columns, rows = max(2, round(width / unit)), max(2, round(height / unit))
    seeds = rng.random((rows, columns), dtype=np.float32)
    return np.clip(np.asarray(cv2.resize(seeds, (width, height), interpolation=cv2.INTER_CUBIC)), 0, 1)


def fill(
    rng: np.random.Generator, colors: tuple[Floats, Floats], name: str, width: int, height: int, unit: float
) -> Floats:
    """Two colors laid out by a pattern, (height, width, 3)."""
    values = pattern(rng, name, width, height, unit)[:, :, None]
    return np.asarray(colors[0] + values * (colors[1] - colors[0]), np.float32)


def background(
    rng: np.random.Generator, width: int, height: int, clutter: float
) -> tuple[Floats, tuple[Floats, Floats]]:
    """The empty scene, (height, width, 3), and its two colors; `clutter` 0 is one plain gradient."""
    short = min(width, height)
    base = color(rng)
    second = shade(rng, base, 0.05, 0.3) if rng.random() < 0.6 else 0.6 * base + 0.4 * color(rng)
    name = PATTERNS[int(rng.integers(len(PATTERNS)))] if rng.random() < clutter else "gradient"
    canvas = fill(rng, (base, second), name, width, height, short * rng.uniform(0.06, 0.35))
    if rng.random() < clutter:
        light = cloud(rng, width, height, short * rng.uniform(0.2, 0.8)) - np.float32(0.5)
        canvas += light[:, :, None] * np.float32(rng.uniform(0.1, 0.4))
    canvas = np.ascontiguousarray(np.clip(canvas, 0, 1))
    for _ in range(int(rng.integers(0, 7) * clutter)):
        scribble(rng, canvas)
    for _ in range(int(rng.integers(0, 14) * clutter)):
        fragment(rng, canvas)
    return canvas, (base, second)


def scribble(rng: np.random.Generator, canvas: Floats) -> None:
    """One wandering line, drawn onto the canvas."""
    import cv2

    height, width = canvas.shape[:2]
    short = min(width, height)
    steps = rng.normal(0, short * 0.12, (int(rng.integers(4, 14)), 2))
    path = np.cumsum(steps, 0) + rng.random(2) * (width, height)
    points = np.round(smooth(path) * 16).astype(np.int32)
    thick = max(1, round(short * rng.uniform(0.004, 0.018)))
    tint = tuple(float(part) for part in color(rng))
    # OpenCV antialiases 8-bit images only, so the line is drawn as a stencil
    stencil = np.zeros((height, width), np.uint8)
    cv2.polylines(stencil, [points], False, 255, thick, cv2.LINE_AA, 4)
    stain(canvas, stencil, tint)


def smooth(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice the corners cut off a polyline: (n, 2) to about (4 n, 2)."""
    for _ in range(2):
        near, far = 0.75 * path[:-1] + 0.25 * path[1:], 0.25 * path[:-1] + 0.75 * path[1:]
        path = np.stack([near, far], 1).reshape(-1, 2)
    return path


def fragment(rng: np.random.Generator, canvas: Floats) -> None:
    """One small irregular splinter, too ragged to be any of the kinds."""
    import cv2

    height, width = canvas.shape[:2]
    corners = int(rng.integers(3, 8))
    turn = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = min(width, height) * rng.uniform(0.015, 0.045) * rng.uniform(0.3, 1.2, corners)
    points = np.stack([np.cos(turn), np.sin(turn)], 1) * reach[:, None] + rng.random(2) * (width, height)
    stencil = np.zeros((height, width), np.uint8)
    cv2.fillPoly(stencil, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    stain(canvas, stencil, tuple(float(part) for part in color(rng)))


def stain(canvas: Floats, stencil: NDArray[np.uint8], tint: Sequence[float]) -> None:
    """Mixes one color into the canvas where the stencil (H, W) is not zero."""
    for rows, columns in _extent(stencil):
        alpha = stencil[rows, columns, None].astype(np.float32) / 255
        part = canvas[rows, columns]
        part += alpha * (np.asarray(tint, np.float32) - part)


def _extent(stencil: NDArray[np.uint8]) -> Iterator[tuple[slice, slice]]:
    """The bounding rectangle of what is not zero; nothing when all is zero."""
    import cv2

    x, y, width, height = cv2.boundingRect(stencil)
    if width and height:
        yield slice(y, y + height), slice(x, x + width)
