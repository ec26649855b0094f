"""Run a folder of images through a model twice, and draw the concepts of a class: crops, maps and importance."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from camviz.feature_maps.visualization.concept_figures import TILE, ConceptRow, concept_figure
from camviz.feature_maps.visualization.concepts import Bank, ConceptFinder, ImageConcepts, find_bank, interval, windows
from camviz.feature_maps.visualization.patch_figures import patch_tile
from camviz.feature_maps.visualization.patches import box_of
from camviz.io.inputs import Input
from camviz.models.extra_inputs import batch_size, inputs_of
from camviz.render.bar import number, percent
from camviz.render.names import model_name
from camviz.render.painting import scaled
from camviz.render.paper import INCH
from camviz.run.context import RunContext
from camviz.run.database.records import Record
from camviz.run.flow import Stages
from camviz.run.job import Load, Task
from camviz.run.output.written import Written, write_figure
from camviz.run.reading import Ready, read_input, shape_of
from camviz.types import Look, Pixels, SaliencyMap

if TYPE_CHECKING:
    from camviz.run.settings import ConceptSettings

_MAPS = 3  # images with a map per concept, at most


def concept_task(settings: ConceptSettings, load: Load) -> Task:
    """Return the task of drawing one figure, with layer and target checked."""
    finder = ConceptFinder(load(0), settings.request)
    layers = [] if settings.request.layers else [finder.layer.path]
    return Task(partial(concepts, settings, finder), layers=layers, model=finder.model.name)


def concepts(
    settings: ConceptSettings, finder: ConceptFinder, inputs: Iterable[Input], context: RunContext
) -> Iterator[Record]:
    """Yield the records of all images when the figure is drawn; the first image's record has its file.

    The images are read twice: for the crops that concepts are found in, and for maps and importance.
    """
    read = partial(read_input, finder.model, fit=settings.request.fit)
    batch = batch_size(finder.model, settings.request.batch_size)
    crops: dict[str, tuple[Any, int | None]] = {}

    def pool(group: list[Ready]) -> Sequence[Any]:
        with inputs_of(finder.model, [ready.image for ready in group], settings.request.fit):
            return finder.crops([ready.values for ready in group], [ready.view for ready in group])

    def keep(source: Input, _ready: Ready, pooled: tuple[Any, int | None]) -> Record:
        crops[source.name] = pooled
        return Record(source)

    sources = []
    for record in context.flow(inputs, Stages(read, shape_of, [pool], keep, pad=False), batch):
        if record.done:
            sources.append(record.source)
            context.passed(len(sources))
        else:
            yield record
    if not sources:
        return
    sources.sort(key=lambda source: source.name)
    numbers = finder.choose([crops[source.name][1] for source in sources])
    used = [sources[number] for number in numbers]
    bank = find_bank([crops[source.name][0] for source in used], settings.concepts, finder.layer.path)
    drawing = Drawing(settings, finder, bank, {source.name: i for i, source in enumerate(used)}, len(sources))
    done = [Record(source) for source in sources if source.name not in drawing.numbers]
    for record in context.flow(used, Stages(read, shape_of, [drawing.measure], drawing.add, pad=False), batch):
        if record.done:
            done.append(record)
        else:
            yield record
    files = (drawing.write(context),) if drawing.measured else ()
    for record in done:
        yield replace(record, written=files)
        files = ()


@dataclass(eq=False)
class Drawing:
    """Collects what the figure shows: of each concept the crops that have most of it, and maps of their images."""

    settings: ConceptSettings
    finder: ConceptFinder
    bank: Bank
    numbers: Mapping[str, int]  # of the images in the bank
    seen: int  # images in all
    measured: dict[str, ImageConcepts] = field(default_factory=dict)
    tiles: dict[tuple[int, str], tuple[Pixels, dict[str, Any]]] = field(default_factory=dict)
    maps: dict[tuple[int, str], SaliencyMap] = field(default_factory=dict)

    def __post_init__(self) -> None:
        best = self.bank.weights.max(1)  # (images, k)
        names, count = list(self.numbers), self.settings.top
        ranked = np.argsort(-best, axis=0, kind="stable")[:count].T
        self.shown = [[names[i] for i in order if best[i, k] > 0] for k, order in enumerate(ranked)]

    def measure(self, group: list[Ready]) -> Sequence[Any]:
        """Return what is measured of a batch."""
        with inputs_of(self.finder.model, [r.image for r in group], self.settings.request.fit):
            return self.finder.measure([r.values for r in group], [r.view for r in group], self.bank.concepts)

    def add(self, source: Input, ready: Ready, measured: ImageConcepts) -> Record:
        """Keep the measurements of an image, and the tiles of it that are shown."""
        style = self.settings.request.look.style
        for k, names in enumerate(self.shown):
            if source.name in names:
                weights = self.bank.weights[self.numbers[source.name], :, k]
                left, top, right, bottom = windows(*ready.values.shape[1:])[int(weights.argmax())]
                box, side = box_of(ready.view, (left, top, right, bottom))
                pixels = ready.image.pixels[box[1] : box[3], box[0] : box[2]]
                facts = {"input": str(source.path), "box": list(box), "activation": float(weights.max())}
                self.tiles[k, source.name] = patch_tile(pixels, side), facts
            if source.name in names[:_MAPS]:
                share = TILE / INCH * style.dpi / max(ready.image.width, ready.image.height)
                self.maps[k, source.name] = _map(measured, k, ready, self.finder, share)
        self.measured[source.name] = replace(measured, maps=measured.maps[:0])
        return Record(source)

    def write(self, context: RunContext) -> Written:
        """Draw and write the figure."""
        finder, settings = self.finder, self.settings
        measured = [self.measured[name] for name in self.numbers if name in self.measured]
        drops = np.stack([each.drops for each in measured])
        means = [(float(column.mean()), *interval(column.tolist())) for column in drops.T]
        order = sorted(range(len(self.bank.concepts)), key=lambda k: -means[k][0])
        rows = [
            ConceptRow(
                place + 1,
                means[k],
                float(self.bank.matches[k]),
                [self.tiles[k, name][0] for name in self.shown[k] if (k, name) in self.tiles],
                [self.maps[k, name] for name in self.shown[k] if (k, name) in self.maps],
            )
            for place, k in enumerate(order)
        ]
        facts = self._facts(measured, means, order)
        figure = concept_figure(rows, self._caption(facts), settings.format, settings.request.look.style, facts)
        facets = [finder.layer.path, *([finder.wanted.facet] if finder.chosen else [])]
        name = re.sub(r"[^\w.+-]+", "_", finder.model.name)
        look = Look(format=settings.format)
        return write_figure(figure, context.folder / figure.kind, name, facets, facts, look, context.write)

    def _facts(
        self, measured: Sequence[ImageConcepts], means: Sequence[tuple[float, float, float]], order: Sequence[int]
    ) -> dict[str, Any]:
        target = measured[0].target
        shown = [
            {
                "importance": _interval(means[k]),
                "match": _finite(self.bank.matches[k]),
                "patches": [self.tiles[k, name][1] for name in self.shown[k] if (k, name) in self.tiles],
            }
            for k in order
        ]
        return {
            "model": self.finder.model.name,
            "layer": self.finder.layer.path,
            "target": target.label,
            "index": target.index,
            "images": len(measured),
            "of": self.seen,
            "crops": self.bank.weights.shape[0] * self.bank.weights.shape[1],
            "explained": float(np.mean([each.explained for each in measured])),
            "importance": _interval(means[-1]),
            "apart": self.bank.apart,
            "concepts": shown,
        }

    def _caption(self, facts: Mapping[str, Any]) -> list[str]:
        """Return the small print: what was measured, on which images, and how stable it is."""
        matches = self.bank.matches[np.isfinite(self.bank.matches)]
        count, seen = facts["images"], facts["of"]
        mean = f"mean {matches.mean():.2f} (different concepts {facts['apart']:.2f})" if matches.size else ""
        return [
            f"{facts['layer']} of {model_name(facts['model'])}",
            f"concepts of {facts['target']} in {facts['crops']} crops of {count} image{'s' * (count != 1)}",
            f"those of {seen} that are predicted as {facts['target']}" if count < seen else "",
            "importance: drop of the score without the concept, mean and 95 % interval over images; "
            f"without all concepts {number(facts['importance']['mean'])}",
            f"match: cosine similarity of the concepts of two halves of the images, {mean}" if mean else "",
            f"the concepts explain {percent(facts['explained'])} of the positive activations",
        ]


def _map(measured: ImageConcepts, concept: int, ready: Ready, finder: ConceptFinder, share: float) -> SaliencyMap:
    """Return the map of a concept over its image at the size of a tile."""
    import cv2

    image, target = ready.image, measured.target
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    how = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
    small = replace(image, pixels=np.asarray(cv2.resize(image.pixels, size, interpolation=how), np.uint8))
    values, score = measured.maps[concept], float("nan")
    names = ("concepts", finder.layer.path, target.label, target.index, score, target.probability, finder.model.name)
    return scaled(SaliencyMap(values, *names, measured.view, small), *size)


def _interval(importance: tuple[float, float, float]) -> dict[str, float | None]:
    return dict(zip(("mean", "low", "high"), map(_finite, importance), strict=True))


def _finite(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
