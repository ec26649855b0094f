"""How well maps find the shape that was asked for, and how long ROAD takes beside a peer's."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

import camviz
from camviz.demo.model import INPUT_SIZE
from camviz.engine.explain import Explainer
from camviz.engine.forward import rescore
from camviz.methods import METHODS
from camviz.metrics.case import Case as Judged
from camviz.metrics.faithfulness import road
from camviz.metrics.results import Evaluation
from camviz.metrics.source import ImageCase, Source
from camviz.types import Model, Request, View
from tests.benchmarks.contenders import CLASS, Case
from tests.benchmarks.timing import Run, alternate, ratio, table
from tools.demo.scenes import KINDS, Scene, Shape, draw_scene

SEED = 777
SETTINGS = {"rise.samples": 200, "smoothgrad.samples": 10, "vargrad.samples": 10, "integrated-gradients.steps": 16}
SLOW = ("sscam", "iscam")  # ten forwards per channel: on a tenth of the scenes, beside what they are made from
MODELS = ("mobilenet_v2", "resnet18", "resnet50")


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


def measure(methods: Sequence[str], asked: Sequence[tuple[Scene, Shape]], metric: str = "localization") -> Evaluation:
    """Each scene for the shape that it is asked for."""
    model, parts = camviz.load("demo"), []
    settings = {key: value for key, value in SETTINGS.items() if key.partition(".")[0] in methods}
    for number, (scene, shape) in enumerate(asked):
        found = camviz.evaluate(
            model, scene.image, method=methods, target=KINDS.index(shape.kind), truth=[shape.mask], metric=metric,
            settings=settings, fit="squash", resamples=0,
        )  # fmt: skip
        parts.append(replace(found, rows=[replace(row, image=f"{number}") for row in found.rows]))
    return replace(parts[0], rows=[row for part in parts for row in part.rows], resamples=1000)


def quality_table(count: int) -> str:
    """All methods that make one map of a class: a concept of dff is none."""
    asked, names, cannot = questions(count), [], []
    for entry in METHODS:
        if entry.name in SLOW or "parts" in entry.facts:
            continue
        try:
            measure([entry.name], asked[:1])
            names.append(entry.name)
        except camviz.CamvizError:  # rules for ReLU, on a model without one
            cannot.append(entry.name)
    most, few = measure(names, asked), measure(["scorecam", *SLOW], asked[: max(1, count // 10)])
    return f"```\n{most}\n{few}```\n\nNot for this model: {', '.join(cannot)}."


# speed


def judged(case: Case) -> Judged:
    """A map of noise over a smooth image, as camviz judges it, but by the logit: the model is untrained."""
    generator = torch.Generator().manual_seed(0)
    image = torch.nn.functional.interpolate(torch.randn(1, 3, 32, 32, generator=generator), (case.size, case.size))[0]
    model = Model(case.name, case.module)
    explainer = Explainer(model, Request(targets=(str(CLASS),), layers=(case.path,)))
    side = case.size
    [asked] = Source(model, explainer, 32)([image.numpy()], [View((side, side), (0, 0, side, side), (side, side))])
    assert isinstance(asked, ImageCase)
    cells = torch.rand(1, 1, 14, 14, generator=generator)
    values = torch.nn.functional.interpolate(cells, (side, side), mode="bicubic")[0, 0]
    values = (values - values.min()) / (values.max() - values.min())
    return replace(
        asked.case,
        maps=[values.numpy()],
        score=lambda total, batch: rescore(explainer.ask, asked.target, total, batch, "logit"),
    )


@contextmanager
def ours(case: Case) -> Iterator[Run]:
    """Eighteen forwards in batches."""
    made = judged(case)
    yield lambda: road(replace(made))


@contextmanager
def theirs(case: Case) -> Iterator[Run]:
    """pytorch-grad-cam's ROADCombined of the same map."""
    from pytorch_grad_cam.metrics.road import ROADCombined
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    made, metric = judged(case), ROADCombined()
    inputs, maps = made.inputs[None], np.stack(made.maps)
    yield lambda: metric(inputs, maps, [ClassifierOutputTarget(CLASS)], case.module)


def road_times(case: Case, rounds: int, cpu: bool) -> dict[str, float]:
    """Seconds of camviz, how many times longer the peer takes, and by what share their values differ."""
    times = alternate({"camviz": lambda: ours(case), "theirs": lambda: theirs(case)}, rounds, warm=False, cpu=cpu)
    with ours(case) as own, theirs(case) as other:
        mine, peers = float(own()[0]), float(other()[0])  # type: ignore[index]
    return {
        "camviz, s": statistics.median(times["camviz"]),
        "faster": ratio(times, "theirs", "camviz"),
        "gap": abs(mine / peers - 1),
    }


def road_table(rounds: int, cpu: bool) -> str:
    """ROAD of one map, nine percentiles both ways."""
    rows = [[name, *road_times(Case(name), rounds, cpu).values()] for name in MODELS]
    return table(["ROAD", "camviz, s", "pytorch-grad-cam, ×", "difference"], rows)
