"""Scenes for the demo model: shapes of ten kinds over clutter, with every box and mask known exactly.

Color, texture, size, angle and place are drawn independently of the kind, so only the outline gives it away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from camviz.demo.model import KINDS as KINDS
from tools.demo import paint

Points = NDArray[np.float64]
DOMINANCE = 1.5  # the largest shape shows at least this many times the area of the second
_FINE = 4  # outlines are filled this many times finer than the image, then averaged


@dataclass(frozen=True)
class Shape:
    """One shape of a scene: box (x0, y0, x1, y1) with exclusive end, mask (H, W) of its visible pixels."""

    kind: str
    box: tuple[int, int, int, int]
    mask: NDArray[np.bool_]

    @property
    def area(self) -> int:
        """Visible pixels."""
        return int(self.mask.sum())


@dataclass(frozen=True)
class Scene:
    """An image, uint8 RGB (H, W, 3), and its shapes from back to front."""

    image: NDArray[np.uint8]
    shapes: tuple[Shape, ...]

    @property
    def dominant(self) -> Shape:
        """The shape with the largest visible area."""
        return max(self.shapes, key=lambda shape: shape.area)


@dataclass(frozen=True)
class Place:
    """Where a shape goes: center and circumscribed radius in pixels, angle in radians (clockwise)."""

    kind: str
    x: float
    y: float
    radius: float
    angle: float = 0.0


@cache
def outline(kind: str) -> tuple[Points, ...]:
    """Contours of a kind, each (n, 2), around the origin with radius 1; a second contour is a hole."""
    contours = _OUTLINES[kind]()
    middle = (contours[0].min(0) + contours[0].max(0)) / 2
    contours = [contour - middle for contour in contours]
    reach = np.hypot(*contours[0].T).max()
    return tuple(contour / reach for contour in contours)


@cache
def unit_area(kind: str) -> float:
    """Area of a kind whose radius is 1."""
    areas = []
    for contour in outline(kind):
        x, y = contour.T
        areas.append(abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2)
    return areas[0] - sum(areas[1:])


def _turns(start: float, stop: float, count: int) -> Points:
    """Points on the unit circle between two angles in degrees, (count, 2)."""
    angle = np.radians(np.linspace(start, stop, count))
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _circle(radius: float = 1.0) -> Points:
    return _turns(0, 360, 73)[:-1] * radius


def _regular(corners: int) -> list[Points]:
    return [_turns(-90, 270, corners + 1)[:-1]]


def _star() -> list[Points]:
    points = _turns(-90, 270, 11)[:-1]
    points[1::2] *= 0.46
    return [points]


def _cross() -> list[Points]:
    arm = np.array([(-0.33, -1), (0.33, -1), (0.33, -0.33)])
    quarter = np.array([(0, 1), (-1, 0)])
    return [np.concatenate([arm @ np.linalg.matrix_power(quarter, turn) for turn in range(4)])]


def _heart() -> list[Points]:
    t = np.linspace(0, 2 * np.pi, 73)[:-1]
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [np.stack([16 * np.sin(t) ** 3, -y], 1)]


def _crescent() -> list[Points]:
    """The unit disc without a smaller one whose edge meets it at 50 degrees on both sides."""
    outer = _turns(50, 310, 60)
    corner, shift = outer[0], 0.42
    reach = float(np.hypot(corner[0] - shift, corner[1]))
    end = float(np.degrees(np.arctan2(corner[1], corner[0] - shift)))
    inner = _turns(360 - end, end, 40)[1:-1] * reach + (shift, 0)
    return [np.concatenate([outer, inner])]


def _arrow() -> list[Points]:
    half = [(-1, -0.28), (0.1, -0.28), (0.1, -0.8), (1, 0)]
    return [np.array([*half, (0.1, 0.8), (0.1, 0.28), (-1, 0.28)])]


def _drop() -> list[Points]:
    """A disc with a tip: the two lines from the tip touch the disc."""
    return [np.concatenate([_turns(-30, 210, 60), [(0, -2.0)]])]


_OUTLINES: dict[str, Callable[[], list[Points]]] = {
    "arrow": _arrow,
    "circle": lambda: [_circle()],
    "crescent": _crescent,
    "cross": _cross,
    "drop": _drop,
    "heart": _heart,
    "ring": lambda: [_circle(), _circle(0.48)],
    "square": lambda: _regular(4),
    "star": _star,
    "triangle": lambda: _regular(3),
}


@dataclass(frozen=True)
class _Cut:
    """A rasterised outline: its rectangle in the canvas and the share of every pixel it covers."""

    rows: slice
    columns: slice
    alpha: NDArray[np.float32]


def _rasterise(place: Place, width: int, height: int, stretch: float) -> _Cut | None:
    """`stretch` widens the outline by its root and lowers it as much; None when all is outside."""
    import cv2

    turn = np.array([[np.cos(place.angle), np.sin(place.angle)], [-np.sin(place.angle), np.cos(place.angle)]])
    warp = np.array([stretch**0.5, stretch**-0.5]) * place.radius
    contours = [contour @ turn * warp + (place.x, place.y) for contour in outline(place.kind)]
    x0, y0 = np.maximum(np.floor(contours[0].min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(contours[0].max(0)).astype(int), (width, height))
    if x0 >= x1 or y0 >= y1:
        return None
    fine = np.zeros(((y1 - y0) * _FINE, (x1 - x0) * _FINE), np.uint8)
    # OpenCV counts from pixel centers and takes sixteenths as integers with shift 4
    points = [np.round(((contour - (x0, y0)) * _FINE - 0.5) * 16).astype(np.int32) for contour in contours]
    cv2.fillPoly(fine, points, 255, cv2.LINE_8, 4)
    cv2.polylines(fine, points, True, 128, 1, cv2.LINE_8, 4)  # fillPoly takes in the whole edge
    small = cv2.resize(fine, (int(x1 - x0), int(y1 - y0)), interpolation=cv2.INTER_AREA)
    return _Cut(slice(int(y0), int(y1)), slice(int(x0), int(x1)), np.asarray(small / np.float32(255), np.float32))


def _visible(cuts: Sequence[_Cut], width: int, height: int) -> list[NDArray[np.bool_]]:
    """For every cut, from back to front, the pixels no later one covers, (H, W) each."""
    masks: list[NDArray[np.bool_]] = []
    taken = np.zeros((height, width), np.bool_)
    for cut in reversed(cuts):
        mask = np.zeros((height, width), np.bool_)
        mask[cut.rows, cut.columns] = cut.alpha >= 0.5
        masks.append(mask & ~taken)
        taken |= mask
    return masks[::-1]


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _shadow(canvas: paint.Floats, cut: _Cut, short: int, strength: float) -> None:
    """A soft shadow to the lower right of a shape that is painted next."""
    import cv2

    plane = np.zeros(canvas.shape[:2], np.float32)
    step = max(1, round(short * 0.015))
    part = plane[step:, step:][cut.rows, cut.columns]
    part[:] = cut.alpha[: part.shape[0], : part.shape[1]]
    soft = np.asarray(cv2.GaussianBlur(plane, (0, 0), short * 0.015))
    canvas *= 1 - strength * soft[:, :, None]


def _paint(
    rng: np.random.Generator, canvas: paint.Floats, cut: _Cut, behind: Sequence[paint.Floats], texture: float
) -> None:
    """One shape in a color unlike what is behind it; `texture` is the chance of a pattern."""
    import cv2

    height, width = cut.alpha.shape
    short = min(canvas.shape[:2])
    part = canvas[cut.rows, cut.columns]
    local = np.asarray(cv2.mean(part)[:3], np.float32)
    base = paint.contrasting(rng, [*behind, local])
    if rng.random() < 0.4:
        _shadow(canvas, cut, short, rng.uniform(0.2, 0.5))
    names = paint.PATTERNS
    name = names[int(rng.integers(1, len(names)))] if rng.random() < texture else "flat"
    paints = paint.fill(rng, (base, paint.shade(rng, base)), name, width, height, short * rng.uniform(0.04, 0.12))
    if rng.random() < 0.5:  # light from one side
        paints *= 1.12 - 0.3 * paint.pattern(rng, "gradient", width, height, 1.0)[:, :, None]
    if rng.random() < 0.35:  # a darker rim
        rim = np.asarray(cv2.GaussianBlur(cut.alpha, (0, 0), short * 0.008, borderType=cv2.BORDER_CONSTANT))
        paints *= np.clip(rim * 2 - 0.7, 0.55, 1)[:, :, None]
    part += cut.alpha[:, :, None] * (paints - part)


def compose(
    rng: np.random.Generator,
    width: int,
    height: int,
    places: Sequence[Place],
    *,
    clutter: float = 1.0,
    texture: float = 0.75,
    noise: float = 0.03,
    stretch: float = 1.0,
) -> Scene | None:
    """Draws the shapes at their places, first one at the back; None when one of them is nowhere to be seen."""
    cuts = [_rasterise(place, width, height, stretch) for place in places]
    found = [cut for cut in cuts if cut is not None]
    masks = _visible(found, width, height)
    if len(found) < len(cuts) or not all(mask.any() for mask in masks):
        return None
    canvas, behind = paint.background(rng, width, height, clutter)
    for cut in found:
        _paint(rng, canvas, cut, behind, texture)
    if noise:
        grain = rng.standard_normal((height, width), dtype=np.float32)[:, :, None]
        canvas += grain * np.float32(rng.uniform(0, noise))
    image = np.asarray(np.clip(canvas, 0, 1) * 255 + 0.5, np.uint8)
    shapes = [Shape(place.kind, _box(mask), mask) for place, mask in zip(places, masks, strict=True)]
    return Scene(image, tuple(shapes))


def _places(rng: np.random.Generator, width: int, height: int, count: int, ease: float, stretch: float) -> list[Place]:
    """The dominant shape and `count` - 1 clearly smaller ones that hardly overlap, in any order."""
    whole = width * height
    largest = float(np.exp(rng.uniform(np.log(0.04 + 0.06 * ease), np.log(0.3))))
    places: list[Place] = []
    for index in range(count):
        area = largest if index == 0 else rng.uniform(0.014, max(0.015, largest / (DOMINANCE * 1.1)))
        for _ in range(12):
            kind = KINDS[int(rng.integers(len(KINDS)))]
            radius = (area * whole / unit_area(kind)) ** 0.5
            # a shape may lean over the edge a little: the models of the world see such images too
            inset = radius * rng.uniform(0.75, 1.1)
            margin = np.minimum((inset * stretch**0.5, inset * stretch**-0.5), (width / 2, height / 2))
            x, y = margin + rng.random(2) * ((width, height) - 2 * margin)
            gaps = [np.hypot((x - o.x) / stretch**0.5, (y - o.y) * stretch**0.5) / (radius + o.radius) for o in places]
            if all(gap > 0.85 for gap in gaps):
                places.append(Place(kind, float(x), float(y), radius, rng.uniform(0, 2 * np.pi)))
                break
    return [places[index] for index in rng.permutation(len(places))]


def draw_scene(
    rng: np.random.Generator,
    width: int,
    height: int,
    *,
    shapes: tuple[int, int] = (1, 4),
    difficulty: float = 1.0,
) -> Scene:
    """A random scene with shapes[0]..shapes[1] shapes, one clearly the largest; `difficulty` 0 is plain and large.

    The same generator state gives the same scene.
    """
    while True:
        count = int(rng.integers(shapes[0], shapes[1] + 1))
        limit = np.log(1.15 + 0.75 * difficulty)
        stretch = float(np.exp(np.clip(rng.normal(0, limit / 2), -limit, limit)))
        places = _places(rng, width, height, count, 1 - difficulty, stretch)
        if len(places) < shapes[0]:
            continue
        clutter, texture = difficulty, 0.75 * difficulty
        scene = compose(rng, width, height, places, clutter=clutter, texture=texture, stretch=stretch)
        if scene is not None and is_clear(scene, places):
            return scene


def is_clear(scene: Scene, places: Sequence[Place]) -> bool:
    """True when every shape shows three quarters of itself and the largest stands out."""
    for shape, place in zip(scene.shapes, places, strict=True):
        if shape.area < 0.75 * unit_area(place.kind) * place.radius**2:
            return False
    areas = sorted((shape.area for shape in scene.shapes), reverse=True)
    return len(areas) == 1 or areas[0] >= DOMINANCE * areas[1]
