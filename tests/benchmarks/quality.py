"""How well maps find the shape that was asked for, on scenes of the bundled model that have several."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import camviz
from camviz.demo.model import INPUT_SIZE
from camviz.demo.scenes import KINDS, Scene, Shape, draw_scene
from camviz.methods import METHODS
from camviz.types import Map
from tests.benchmarks.timing import table

SEED = 777
THRESHOLDS = np.linspace(0.05, 0.95, 19)  # shares of the map's maximum
SETTINGS = {"rise.samples": 200, "smoothgrad.samples": 10, "vargrad.samples": 10, "integrated-gradients.steps": 16}
SETTINGS |= {"sscam.samples": 4, "iscam.samples": 4}
SLOW = ("sscam", "iscam")  # so many forwards per channel: a fifth of the scenes


def questions(count: int) -> list[tuple[Scene, Shape]]:
    """Scenes of two to four shapes, each asked for one whose kind occurs once: the largest and others in turn."""
    rng = np.random.default_rng(SEED)
    asked: list[tuple[Scene, Shape]] = []
    while len(asked) < count:
        scene = draw_scene(rng, INPUT_SIZE, INPUT_SIZE, shapes=(2, 4))
        kinds = [shape.kind for shape in scene.shapes]
        single = sorted((s for s in scene.shapes if kinds.count(s.kind) == 1), key=lambda s: -s.area)
        if single:
            asked.append((scene, single[len(asked) % len(single)]))
    return asked


def measure(method: str, asked: Sequence[tuple[Scene, Shape]]) -> dict[str, float]:
    """Shares of peaks on the shape, mean IoU at the best threshold (one for all), milliseconds per map."""
    model = camviz.load("demo")
    settings = {key: value for key, value in SETTINGS.items() if key.startswith(f"{method}.")}
    hits, overlaps, start = [], [], time.perf_counter()
    for scene, shape in asked:
        target = KINDS.index(shape.kind)
        [found] = camviz.explain(model, scene.image, method=method, target=target, settings=settings, fit="squash")
        values = np.maximum(found.view.place(found.values), 0)
        hits.append(bool(shape.mask.flat[int(values.argmax())]))
        overlaps.append(overlap(values, shape.mask))
    taken = 1000 * (time.perf_counter() - start) / len(asked)
    return {"pointing": float(np.mean(hits)), "IoU": float(np.mean(overlaps, 0).max()), "ms": taken}


def overlap(values: Map, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union of a map and a mask at every threshold."""
    above = values[None] > THRESHOLDS[:, None, None] * values.max(initial=0)
    return np.asarray((above & mask).sum((1, 2)) / (above | mask).sum((1, 2)))


def quality_table(count: int) -> str:
    """All methods that make one map of a class, the best first."""
    asked = questions(count)
    rows, cannot = [], []
    for entry in METHODS:
        if "parts" in entry.facts:  # a concept of dff is not a class
            continue
        own = asked[: -(-count // 5)] if entry.name in SLOW else asked
        try:
            rows.append([entry.name, *measure(entry.name, own).values(), len(own)])
        except camviz.CamvizError:  # rules for ReLU, on a network without one
            cannot.append(entry.name)
    rows.sort(key=lambda row: row[2], reverse=True)
    shown = table(["method", "pointing", "IoU", "ms per map", "scenes"], rows)
    return f"{shown}\n\nNot for this network: {', '.join(cannot)}."
