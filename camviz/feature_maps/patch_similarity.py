"""Similarity of patches: to the patch at a point, and between two images."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from camviz.errors import RequestError
from camviz.feature_maps.maps import FeatureMaps
from camviz.io.paths import absolute
from camviz.types import Map, View

_BLOCK = 512  # rows that are compared at once
Rows = NDArray[np.float64]
_POINT = re.compile(r"(.+):(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Point:
    """A point (x, y) of an image, in pixels of the upright image."""

    path: str
    x: float
    y: float

    @classmethod
    def parse(cls, text: str) -> Point:
        """Return the point of IMAGE:X,Y. Raises `RequestError` for another form and for a file that does not exist."""
        parts = _POINT.fullmatch(text)
        if not parts:
            raise RequestError(f"--like '{text}' is not IMAGE:X,Y", "--like photo.jpg:120,80, in pixels of the image")
        if not Path(parts[1]).is_file():
            raise RequestError(f"--like '{text}': no image '{parts[1]}'", "--like photo.jpg:120,80, a file that exists")
        return cls(parts[1], float(parts[2]), float(parts[3]))


@dataclass(frozen=True, eq=False)
class Query:
    """The vector (c,) of a patch of one layer, with the name of its origin; `low`: the color scale begins there.

    `point` (x, y) are fractions of the view of the image at `path`.
    """

    name: str
    vector: NDArray[np.float64] = field(repr=False)
    low: float
    path: Path
    point: tuple[float, float]


def cell_at(view: View, grid: tuple[int, int], x: float, y: float) -> tuple[int, int]:
    """Return the (row, column) of the cell of a grid (height, width) at pixel (x, y) of the image, in its view.

    Raises `RequestError` for a point that the model does not see.
    """
    left, top, right, bottom = view.box
    across, down = (x - left) / (right - left), (y - top) / (bottom - top)
    inside = 0 <= x <= view.image[0] and 0 <= y <= view.image[1]
    if not (inside and 0 <= across <= 1 and 0 <= down <= 1):
        message = f"the point {x:g},{y:g} is outside "
        if inside:
            raise RequestError(f"{message}the part that the model sees", "--fit whole shows the model the whole image")
        width, height = view.image
        raise RequestError(
            f"{message}the image of {width}×{height} pixels", f"{width // 2},{height // 2} is its center"
        )
    first, start, last, end = view.cells
    column = int((across - first) / (last - first) * grid[1])
    row = int((down - start) / (end - start) * grid[0])
    return min(max(row, 0), grid[0] - 1), min(max(column, 0), grid[1] - 1)


def query_at(maps: FeatureMaps, point: Point) -> Query:
    """Return the patch at a point of the image of `maps`; its scale begins at the median similarity in that image."""
    height, width = maps.values.shape[1:]
    row, column = cell_at(maps.view, (height, width), point.x, point.y)
    vector = maps.values[:, row, column].astype(np.float64)
    if not vector.any():
        raise RequestError(
            f"all channels of '{maps.layer}' are zero at {point.x:g},{point.y:g} of '{point.path}'", "another point"
        )
    low = round(float(np.median(cosines(maps.values, vector))), 2)
    left, top, right, bottom = maps.view.box
    fractions = (point.x - left) / (right - left), (point.y - top) / (bottom - top)
    return Query(
        f"{Path(point.path).name} {point.x:g},{point.y:g}",
        vector,
        min(low, 0.95),
        Path(absolute(Path(point.path))),
        fractions,
    )


def cosines(values: NDArray[np.float32], vector: NDArray[np.float64]) -> Map:
    """Return the cosine similarity of every patch of activations (c, h, w) to a vector (c,): (h, w), 0 for zeros."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    norms = np.linalg.norm(rows, axis=0) * np.linalg.norm(vector)
    similarity = np.divide(vector @ rows, norms, out=np.zeros(rows.shape[1]), where=norms > 0)
    return np.asarray(similarity.reshape(values.shape[1:]), np.float32)


@dataclass(frozen=True)
class Match:
    """A pair of patches (row, column) of two images that are each other's nearest neighbors."""

    first: tuple[int, int]
    second: tuple[int, int]
    similarity: float


def mutual_matches(first: NDArray[np.float32], second: NDArray[np.float32], count: int = 0) -> list[Match]:
    """Return the mutual nearest neighbors of two activations (c, h, w) by cosine, the most similar first.

    With `count` at most so many, no two of them in adjacent patches of the first image.
    """
    grid, other = first.shape[1:], second.shape[1:]
    nearest, back, best = _neighbors(_unit(first), _unit(second))
    mutual = np.flatnonzero(back[nearest] == np.arange(len(nearest)))
    ordered = mutual[np.argsort(-best[mutual], kind="stable")]
    matches: list[Match] = []
    for index in ordered:
        row, column = divmod(int(index), grid[1])
        if count and any(max(abs(row - match.first[0]), abs(column - match.first[1])) < 2 for match in matches):
            continue
        target = int(nearest[index])
        pair = divmod(target, other[1])
        matches.append(Match((row, column), pair, float(best[index])))
        if len(matches) == count:
            break
    return matches


def _neighbors(first: Rows, second: Rows) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return the nearest row of `second` for each of `first`, the other way round, and the similarity of the former.

    In blocks of rows: the matrix of all pairs would take gigabytes at an early layer.
    """
    nearest, best = np.zeros(len(first), np.intp), np.zeros(len(first))
    back, highest = np.zeros(len(second), np.intp), np.full(len(second), -np.inf)
    for start in range(0, len(first), _BLOCK):
        similarity = first[start : start + _BLOCK] @ second.T
        end = start + len(similarity)
        nearest[start:end], best[start:end] = similarity.argmax(1), similarity.max(1)
        higher = similarity.max(0) > highest
        back[higher] = start + similarity.argmax(0)[higher]
        highest = np.maximum(highest, similarity.max(0))
    return nearest, back, best


def _unit(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return activations (c, h, w) as rows (h·w, c) of unit length."""
    rows = values.reshape(len(values), -1).T.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)
