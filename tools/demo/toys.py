"""Photograph-like scenes of the ten kinds: toys with depth, texture and shadows on a table, traced ray by ray.

`python -m tools.demo.toys FILE` draws the scene of the documentation's first figure.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.demo.scenes import outline

Floats = NDArray[np.float32]
_REACH, _CELLS = 1.5, 600  # an outline's field of distances: from -reach to reach, so many cells
_STEPS, _FAR = 90, 14.0
_EYE = np.array([0.0, 1.55, 5.6], np.float32)
_LOOK = np.array([0.0, 0.62, 0.0], np.float32)
_LIGHT = np.array([-0.55, 0.9, 0.65], np.float32) / np.float32(1.24)
_FIELD = 0.95  # of view: the width at distance 1
_WALL = -2.6  # z of the wall behind the table


@dataclass(frozen=True)
class Toy:
    """An outline cut out of a board that stands on the table: place (x, z), size, turns in radians, color, pattern."""

    kind: str
    x: float
    z: float
    size: float
    color: tuple[float, float, float]
    turn: float = 0.0  # about the vertical axis
    roll: float = 0.0  # within the board
    pattern: str = "plain"
    depth: float = 0.16

    @property
    def height(self) -> float:
        """Of the center above the table, so that the lowest point touches it."""
        points = np.concatenate(outline(self.kind)) * (1, -1)
        low = points @ np.array([np.sin(self.roll), np.cos(self.roll)])
        return float(-low.min() * self.size - 0.02)


TOYS = (
    Toy("star", -0.95, 0.35, 0.86, (0.93, 0.62, 0.10), turn=0.25, roll=0.08, pattern="speckled"),
    Toy("ring", 1.35, 0.75, 0.52, (0.10, 0.48, 0.62), turn=-0.35, pattern="striped", depth=0.2),
    Toy("heart", 0.42, -0.75, 0.62, (0.78, 0.13, 0.17), turn=-0.1, pattern="plain"),
    Toy("arrow", 2.35, -1.0, 0.66, (0.36, 0.56, 0.22), turn=-0.3, roll=1.2, pattern="grained"),
    Toy("square", -2.45, -1.1, 0.58, (0.48, 0.34, 0.62), turn=0.5, roll=np.pi / 4, pattern="dotted"),
)


@cache
def _field(kind: str) -> Floats:
    """Signed distances to the outline, negative inside, over [-reach, reach] in both directions; y points up."""
    import cv2

    fine = 4 * _CELLS
    scale = fine / (2 * _REACH)
    mask = np.zeros((fine, fine), np.uint8)
    cv2.fillPoly(mask, [np.round((contour + _REACH) * scale).astype(np.int32) for contour in outline(kind)], 255)
    away = [cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for part in (255 - mask, mask)]
    field = cv2.resize((away[0] - away[1])[::-1] / scale, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(field, (0, 0), 2), np.float32)


def _board(toy: Toy, points: Floats) -> tuple[Floats, Floats, Floats]:
    """Distances (n,) of points (n, 3) to a toy, and their coordinates (n,) within its board."""
    cos, sin = np.cos(toy.turn), np.sin(toy.turn)
    shifted = points - np.array([toy.x, toy.height, toy.z], np.float32)
    across = shifted[:, 0] * cos - shifted[:, 2] * sin
    through = shifted[:, 0] * sin + shifted[:, 2] * cos
    cos, sin = np.cos(toy.roll), np.sin(toy.roll)
    x = (across * cos - shifted[:, 1] * sin) / toy.size
    y = (across * sin + shifted[:, 1] * cos) / toy.size
    inside = np.clip(np.stack([x, y]), -_REACH + 0.01, _REACH - 0.01)
    cells = (inside + _REACH) * (_CELLS / (2 * _REACH)) - 0.5
    flat = _bilinear(_field(toy.kind), cells[1], cells[0])
    flat = (flat + np.hypot(x - inside[0], y - inside[1])) * toy.size
    edge = 0.3 * toy.depth  # rounded
    flat, thick = flat + edge, np.abs(through) - toy.depth + edge
    outside = np.hypot(np.maximum(flat, 0), np.maximum(thick, 0))
    return np.asarray(outside + np.minimum(np.maximum(flat, thick), 0) - edge, np.float32), x, y


def _bilinear(field: Floats, rows: Floats, columns: Floats) -> Floats:
    top, left = (np.clip(np.floor(one), 0, _CELLS - 2).astype(np.intp) for one in (rows, columns))
    down, right = (np.clip(rows - top, 0, 1), np.clip(columns - left, 0, 1))
    above = field[top, left] * (1 - right) + field[top, left + 1] * right
    below = field[top + 1, left] * (1 - right) + field[top + 1, left + 1] * right
    return np.asarray(above * (1 - down) + below * down, np.float32)


def _nearest(toys: tuple[Toy, ...], points: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """The distance to the nearest surface, and which: the table is 0, the wall 1, toys from 2 on."""
    each = [points[:, 1], points[:, 2] - _WALL, *(_board(toy, points)[0] for toy in toys)]
    stacked = np.stack(each)
    which = stacked.argmin(0)
    return np.take_along_axis(stacked, which[None], 0)[0], which


def _march(toys: tuple[Toy, ...], start: Floats, direction: Floats) -> Floats:
    """How far each ray (n, 3) goes before it meets a surface: (n,)."""
    far = np.zeros(len(start), np.float32)
    active = np.arange(len(start))
    for _ in range(_STEPS):
        step = _nearest(toys, start[active] + direction[active] * far[active, None])[0]
        far[active] += step * 0.95
        active = active[(step > 1e-3) & (far[active] < _FAR)]
        if not active.size:
            break
    return far


def _shade(toys: tuple[Toy, ...], points: Floats) -> Floats:
    """How much light reaches points (n, 3), 0 to 1: the narrowest gap on the way gives a soft edge."""
    light = np.ones(len(points), np.float32)
    far = np.full(len(points), 0.03, np.float32)
    for _ in range(40):
        gap = np.min([_board(toy, points + _LIGHT * far[:, None])[0] for toy in toys], axis=0)
        light = np.minimum(light, np.clip(9 * gap / far, 0, 1))
        far += np.clip(gap, 0.03, 0.3)
    return light * light * (3 - 2 * light)


def _normals(toys: tuple[Toy, ...], points: Floats) -> Floats:
    small = np.float32(6e-3)
    sides = [
        _nearest(toys, points + offset)[0] - _nearest(toys, points - offset)[0]
        for offset in np.eye(3, dtype=np.float32) * small
    ]
    normals = np.stack(sides, 1)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9), np.float32)


def _noise(rng: np.random.Generator, x: Floats, y: Floats, octaves: int = 4) -> Floats:
    """Smooth noise around 0 at (x, y), the sum of ever finer lattices."""
    total = np.zeros_like(x)
    for octave in range(octaves):
        lattice = rng.standard_normal((_CELLS, _CELLS)).astype(np.float32)
        total += _bilinear(lattice, (y * 2**octave) % (_CELLS - 2), (x * 2**octave) % (_CELLS - 2)) / 2**octave
    return total


def _table(rng: np.random.Generator, points: Floats) -> Floats:
    """Planks of wood, each with a tone of its own, and grain along them."""
    x, z = points[:, 0] + 20, points[:, 2] + 20
    plank = np.floor(z / 0.9)
    grain = _noise(rng, x * 1.2 + plank * 7.3, z * 26) * 0.05 + _noise(rng, x * 0.4, z * 5 + plank * 3) * 0.05
    tone = 0.86 + 0.12 * np.sin(plank * 12.9898) + grain
    gap = np.clip(np.abs((z / 0.9) % 1 - 0.5) * 2 - 0.975, 0, 0.025) / 0.025
    wood = np.array([0.62, 0.43, 0.27], np.float32) * tone[:, None]
    return np.asarray(wood * (1 - 0.65 * gap[:, None]), np.float32)


def _wall(rng: np.random.Generator, points: Floats) -> Floats:
    """Plaster, darker towards the sides."""
    x, y = points[:, 0] + 20, points[:, 1] + 20
    tone = 1 + 0.03 * _noise(rng, x * 3, y * 3) - 0.02 * np.abs(points[:, 0]) + 0.02 * points[:, 1]
    return np.asarray(np.array([0.56, 0.63, 0.66], np.float32) * tone[:, None], np.float32)


def _paint(rng: np.random.Generator, toy: Toy, points: Floats) -> Floats:
    """The color of a toy's surface with its pattern."""
    _, x, y = _board(toy, points)
    tone = 1 + 0.04 * _noise(rng, (x + 9) * 9, (y + 9) * 9)
    color = np.array(toy.color, np.float32) * np.ones((len(points), 1), np.float32)
    if toy.pattern == "striped":
        stripe = np.clip(np.sin((x + y) * 15) * 4, -1, 1) * 0.5 + 0.5
        color = color * (1 - stripe[:, None]) + np.array([0.92, 0.9, 0.82], np.float32) * stripe[:, None]
    elif toy.pattern == "dotted":
        dots = np.hypot((x * 3.2) % 1 - 0.5, (y * 3.2) % 1 - 0.5) < 0.24
        color = np.where(dots[:, None], np.array([0.9, 0.86, 0.75], np.float32), color)
    elif toy.pattern == "speckled":
        tone = tone - 0.25 * (_noise(rng, (x + 9) * 30, (y + 9) * 30, 2) > 1.7)
    elif toy.pattern == "grained":
        tone = tone + 0.09 * _noise(rng, (x + 9) * 4, (y + 9) * 40)
    return np.asarray(color * tone[:, None], np.float32)


def draw(width: int = 720, height: int = 480, toys: tuple[Toy, ...] = TOYS, seed: int = 7) -> NDArray[np.uint8]:
    """Return the scene as RGB pixels (height, width, 3), uint8; twice as fine rays are averaged."""
    import cv2

    rng = np.random.default_rng(seed)
    rows, columns = 2 * height, 2 * width
    ahead = (_LOOK - _EYE) / np.linalg.norm(_LOOK - _EYE)
    right = np.cross(ahead, [0, 1, 0])
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead)
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns - 0.5, 0.5 - (np.arange(rows) + 0.5) / rows)
    rays = ahead + x[..., None] * right * _FIELD + y[..., None] * up * _FIELD * rows / columns
    rays = (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).reshape(-1, 3).astype(np.float32)
    parts = [_colors(seed, toys, part) for part in np.array_split(rays, 1 + len(rays) // 100_000)]
    colors = np.concatenate([part[0] for part in parts]).reshape(rows, columns, 3)
    behind = np.concatenate([part[1] for part in parts]).reshape(rows, columns, 1)
    soft = cv2.GaussianBlur(colors, (0, 0), 5)  # the wall is out of focus
    colors = np.where(behind, soft, colors)
    colors = cv2.resize(colors, (width, height), interpolation=cv2.INTER_AREA)
    radius = np.hypot(*np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height)))
    colors = colors * (1 - 0.16 * radius[..., None] ** 2) + rng.standard_normal(colors.shape) * 0.006
    return np.asarray(np.clip(colors, 0, 1) ** (1 / 2.2) * 255 + 0.5, np.uint8)


def _colors(seed: int, toys: tuple[Toy, ...], rays: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The linear color (n, 3) that rays (n, 3) from the eye meet, and whether it is the wall's."""
    points = _EYE + rays * _march(toys, np.broadcast_to(_EYE, rays.shape), rays)[:, None]
    _, which = _nearest(toys, points)
    normals = _normals(toys, points)
    lit = np.clip(normals @ _LIGHT, 0, 1) * _shade(toys, points + normals * 0.01)
    near = [_nearest(toys, points + normals * step)[0] / step for step in (0.06, 0.18, 0.4)]
    open_sky = np.clip(np.mean(near, axis=0), 0.15, 1)
    surface = np.zeros_like(points)
    for number in np.unique(which):
        here = which == number
        if number < 2:
            paints = (_table, _wall)[number](np.random.default_rng(seed), points[here])
        else:
            paints = _paint(np.random.default_rng(seed), toys[number - 2], points[here])
        surface[here] = paints**2.2
    half = _LIGHT - rays
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    shine = np.clip((normals * half).sum(1), 0, 1) ** 60 * np.where(which > 1, 0.35, 0.04) * lit
    light = lit[:, None] * np.array([1.5, 1.42, 1.3], np.float32) + open_sky[:, None] * np.array([0.34, 0.38, 0.44])
    return np.asarray(surface * light + shine[:, None], np.float32), which == 1


def main() -> None:
    """Draw the scene into the file that is named."""
    from PIL import Image

    Image.fromarray(draw()).save(Path(sys.argv[1]), quality=92)


if __name__ == "__main__":
    main()
