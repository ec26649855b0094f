"""Figures of patches: similarity to points, and matches between two images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from camviz.feature_maps.figures import FeatureStyle, compose_figure, tile_view
from camviz.feature_maps.maps import FeatureMaps
from camviz.feature_maps.patch_similarity import Match, Query, cosines
from camviz.io.paths import absolute
from camviz.render.color import Limits
from camviz.render.marks import draw_marks
from camviz.render.painting import bar_of
from camviz.render.sheet import Row, Tile
from camviz.render.tiles import letters, painted, tile_pixels
from camviz.types import Figure, Look, Mark, Pixels, SaliencyMap

_GAP = 0.04  # of the width, between the two images of a figure of matches


def similarities(maps: FeatureMaps, queries: Sequence[Query], **settings: Any) -> Figure:
    """Draw the cosine similarity of every patch to each query over the image; settings as in `FeatureStyle`.

    One color scale for all queries and all images of a run: from the smallest `low` of the queries to 1.
    """
    style = FeatureStyle(**settings)
    low = min(query.low for query in queries)
    look = Look(colormap=style.colormap, scale=f"fixed:{1 - low!r}", style=style.style)
    pixels = tile_pixels(maps.image.pixels, len(queries) + 1, style.style)
    view = tile_view(maps, pixels)
    everything = pixels.copy()
    tiles, facts = [], []
    for number, query in enumerate(queries, 1):
        values = cosines(maps.values, query.vector)
        drawn = painted(_map(maps, values - low, query.name), pixels, look)
        if maps.image.path and Path(absolute(maps.image.path)) == query.path:
            mark = [Mark(str(number) if len(queries) > 1 else "", point=query.point)]
            draw_marks(drawn, mark, view, letters(style.style))
            draw_marks(everything, mark, view, letters(style.style))
        tiles.append(Tile(drawn, f"{number}: {query.name}" if len(queries) > 1 else query.name))
        facts.append({"query": query.name, "highest": round(float(values.max()), 6)})
    bar = replace(bar_of(_map(maps, values - low, ""), look), within=Limits(low, 1.0), label="cosine similarity")
    rows = (Row((Tile(everything, "Input"), *tiles)),)
    recorded = {"like": facts, "low": round(low, 6)}
    return compose_figure("features-like", rows, maps, ["similarity to the patch at a point"], bar, style, recorded)


def _map(maps: FeatureMaps, values: NDArray[np.float32], name: str) -> SaliencyMap:
    nan = float("nan")
    return SaliencyMap(values, "similarity", maps.layer, name, None, nan, None, maps.model, maps.view, maps.image)


def correspondences(maps: FeatureMaps, other: FeatureMaps, matches: Sequence[Match], **settings: Any) -> Figure:
    """Draw two images side by side with lines between matching patches; settings as in `FeatureStyle`."""
    style = FeatureStyle(**settings)
    first, second = (tile_pixels(each.image.pixels, 2, style.style) for each in (maps, other))
    height = max(first.shape[0], second.shape[0])
    gap = round(_GAP * first.shape[1])
    canvas = np.full((height, first.shape[1] + gap + second.shape[1], 3), 255, np.uint8)
    canvas[: first.shape[0], : first.shape[1]] = first
    canvas[: second.shape[0], first.shape[1] + gap :] = second
    offset = first.shape[1] + gap
    for number, match in enumerate(matches):
        start = _center(maps, first, match.first)
        x, y = _center(other, second, match.second)
        _connect(canvas, start, (x + offset, y), _hue(number, len(matches)))
    facts = [f"{other.image.name} at the right", f"{len(matches)} mutual nearest neighbors"]
    if matches:
        facts.append(f"cosine {matches[-1].similarity:.2f} to {matches[0].similarity:.2f}")
    recorded = {
        "matches": [
            {"from": _pixel(maps, match.first), "to": _pixel(other, match.second), "cosine": round(match.similarity, 4)}
            for match in matches
        ]
    }
    rows = (Row((Tile(canvas),)),)
    return compose_figure("features-correspond", rows, maps, facts, None, style, recorded)


def _pixel(maps: FeatureMaps, cell: tuple[int, int]) -> list[float]:
    """Return the (x, y) of a cell's center in pixels of the image."""
    height, width = maps.values.shape[1:]
    first, start, last, end = maps.view.cells
    x = first + (cell[1] + 0.5) / width * (last - first)
    y = start + (cell[0] + 0.5) / height * (end - start)
    return [round(side, 1) for side in maps.view.point(x, y)]


def _center(maps: FeatureMaps, pixels: Pixels, cell: tuple[int, int]) -> tuple[int, int]:
    x, y = _pixel(maps, cell)
    return round(x * pixels.shape[1] / maps.image.width), round(y * pixels.shape[0] / maps.image.height)


def _hue(number: int, count: int) -> tuple[int, int, int]:
    """Return one of `count` colors around the color wheel."""
    import colorsys

    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(number / max(count, 1), 0.9, 1.0))
    return red, green, blue


def _connect(canvas: Pixels, start: tuple[int, int], end: tuple[int, int], hue: tuple[int, int, int]) -> None:
    import cv2

    thick = max(1, round(canvas.shape[0] / 300))
    cv2.line(canvas, start, end, (40, 40, 40), 3 * thick, cv2.LINE_AA)
    cv2.line(canvas, start, end, hue, thick + 1, cv2.LINE_AA)
    for point in (start, end):
        cv2.circle(canvas, point, 5 * thick, (40, 40, 40), -1, cv2.LINE_AA)
        cv2.circle(canvas, point, 4 * thick, hue, -1, cv2.LINE_AA)
