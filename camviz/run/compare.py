"""Compare many images: maps into the run database, figures drawn from it, a summary sheet and a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from camviz.comparison import MOST, Comparison, check_count, fixed
from camviz.errors import InputError
from camviz.io.images import read_image
from camviz.io.inputs import Failed, Input
from camviz.io.paths import read_bytes
from camviz.io.tables import csv_text
from camviz.render import animation, encode
from camviz.render.color import limits, settled
from camviz.render.paper import compose, to_pixels
from camviz.render.sheet import Sheet, arrange
from camviz.render.side_by_side import Group, side_by_side
from camviz.run.database.jobs import same_image
from camviz.run.database.records import Record, SavedMap, predictions
from camviz.run.database.rows import InputRow
from camviz.run.job import Load, Task
from camviz.run.output.files import result_path
from camviz.run.output.written import Written
from camviz.run.shared_scale import drawer_of, settled_for_run
from camviz.types import Image, Look, SaliencyMap, Style

if TYPE_CHECKING:
    from camviz.comparison.compare import Comparer
    from camviz.run.context import RunContext
    from camviz.run.resume import Run
    from camviz.run.settings import CompareSettings

SUMMARY, TABLE = "summary", "compare.csv"
_AT_ONCE = 32  # images shown to one model before the next is loaded, where there are many


def compare_task(settings: CompareSettings, load: Load) -> Task:
    """Return the task of explaining each image with every model; its records have the maps, and no files."""
    from camviz.comparison.compare import Comparer, Member
    from camviz.engine.explain import Explainer
    from camviz.engine.randomize import randomized

    notes: list[str] = []

    def make(number: int) -> Explainer:
        model = load(number)
        if settings.randomized(number):
            model = randomized(model, settings.request.seed)
        job = replace(settings.request, model=settings.compared[number], layers=settings.layers[number])
        explainer = Explainer(model, job)
        notes.extend(explainer.notes)
        return explainer

    members = [Member(name, partial(make, number)) for number, name in enumerate(settings.names)]
    explainer = members[settings.reference].explainer
    if len(members) == 1:
        check_count(sum(chosen.parts * max(1, len(explainer.layers)) for chosen in explainer.methods))
    comparer = Comparer(members, bool(settings.request.targets), settings.reference)
    layers = [layer.path for layer in explainer.layers]
    return Task(
        partial(compared, comparer, settings.layout == "strip"), notes, layers, settings.names[settings.reference]
    )


def compared(comparer: Comparer, strip: bool, inputs: Iterable[Input], context: RunContext) -> Iterator[Record]:
    """Yield the record of each image with the maps of all models."""
    from camviz.run.flow import Stages

    def write(source: Input, _image: Image, groups: list[list[SaliencyMap]]) -> Record:
        for maps in groups:
            check_count(len(maps), strip)
        all_maps = [each for maps in groups for each in maps]
        return Record(source, 0.0, tuple(map(SavedMap.of, all_maps)), (), predictions(all_maps))

    stages = Stages(
        lambda source: read_image(source.path, comparer.window), lambda _image: 0, [comparer], write, pad=False
    )
    return context.flow(inputs, stages, _AT_ONCE if len(comparer.members) > MOST else 1)


def groups_of(maps: Sequence[SaliencyMap]) -> list[list[SaliencyMap]]:
    """Return the maps of an image grouped by target."""
    found: dict[int, list[SaliencyMap]] = {}
    for saliency_map in maps:
        found.setdefault(int(saliency_map.facts.get("question", 0)), []).append(saliency_map)
    return list(found.values())


class Drawing:
    """Draws the figures of a comparison, its table and its summary sheet."""

    def __init__(self, run: Run, settings: CompareSettings) -> None:
        self.run, self.database, self.row, self.folder = run, run.database, run.row, run.folder
        self.settings, self.write = settings, run.open().write
        self.look = settled_for_run(self.database, self.row, settings.request.look)

    def __call__(self, failed: Failed) -> Iterator[Written]:
        """Draw each missing figure; then write the table, and a sheet of the images that differ most."""
        run = self.settings.request.look.scale == "run"
        high = limits(np.empty(0), self.look.sign, self.look.scale).high if run else None
        drawer, drawn = drawer_of(self.run, failed), 0
        for record in drawer.draw(self._figure, lambda facts: not run or facts["high"] == high):
            drawn += 1
            yield from record.written
        table = self._table()
        path = self.folder / TABLE
        if table and (drawn or not path.exists() or read_bytes(path) != table):
            summary = list(self._summary(drawer.urls))
            self.write(path, table)  # after the summary: where it is up to date, nothing is missing
            yield Written(path, {"kind": "table"}, len(table))
            yield from summary

    def _comparisons(self, maps: Sequence[SaliencyMap]) -> list[Comparison]:
        return [Comparison.of(group, self.look) for group in groups_of(maps)]

    def _figure(self, source: Input, maps: list[SaliencyMap]) -> Iterable[Written]:
        found = self._comparisons(maps)
        facts: dict[str, Any] = {"kind": "comparison", "input": str(source.path)}
        facts["high"] = limits(np.empty(0), self.look.sign, self.look.scale).high
        facts |= {"distance": max(comparison.distance for comparison in found)}
        facts["sides"] = [{**row, "image": source.name} for comparison in found for row in comparison.rows()]
        notes = list(dict.fromkeys(comparison.note for comparison in found if comparison.note))
        facts |= {"note": notes[0]} if notes else {}
        data, suffix = self._encoded(found, source)
        path = result_path(self.folder, source.stem, ("compare",), suffix)
        self.write(path, data)
        yield Written(path, facts, len(data))

    def _encoded(self, found: list[Comparison], source: Input) -> tuple[bytes, str]:
        style, look, format = self.look.style, self.look, self.settings.request.look.format
        if format in animation.FORMATS:
            shared = [settled(look, (side.map.values for side in comparison.sides), ("row",)) for comparison in found]
            frames = [
                to_pixels(arrange(side_by_side([_frame(comparison, side)], seen, style), style), style)[0]
                for comparison, seen in zip(found, shared, strict=True)
                for side in range(len(comparison.sides))
            ]
            return animation.animate(frames, format), f".{format}"
        captions = found[0].caption(self.settings.layout == "strip") if self.settings.caption else ()
        strip = self.settings.layout == "strip"
        groups = [
            _strip(comparison, 3 if 0 < style.width < 120 else 6) if strip else comparison.group()
            for comparison in found
        ]
        return encoded("comparison", side_by_side(groups, look, style, captions), style, format, source.name)

    def _table(self) -> bytes:
        """Return the rows of all images, from the facts of their figures in the run database."""
        files = (file for one in self.database.inputs(self.row.id, "done") for file in self.database.files(one.id))
        rows = [row for file in files for row in file.facts.get("sides", ())]
        return csv_text(rows[0], (row.values() for row in rows)).encode("utf-8", "surrogateescape") if rows else b""

    def _summary(self, urls: bool) -> Iterator[Written]:
        """Write one sheet of the images on which the sides differ most."""
        top = self.settings.top
        if self.settings.layout != "figure" or self.settings.request.look.format in animation.FORMATS or top < 1:
            return
        ranked: list[tuple[float, InputRow]] = []
        count = 0
        for row in self.database.inputs(self.row.id, "done"):
            count += 1
            far = max((file.facts.get("distance") or 0 for file in self.database.files(row.id)), default=0.0)
            ranked = sorted([*ranked, (far, row)], key=lambda pair: -pair[0])[:top]
        if count < 2:
            return
        groups: list[Group] = []
        captions: tuple[str, ...] = ()
        for _, row in ranked:
            try:
                image = same_image(row, urls)
                maps = [each.restored(image) for each in self.database.maps(row.id)]
            except InputError:  # told already
                continue
            for comparison in self._comparisons(maps):
                groups.append(comparison.group())
                captions = comparison.caption()
        format = self.settings.request.look.format
        sheet = side_by_side(groups, self.look, self.look.style, captions if self.settings.caption else ())
        data, suffix = encoded("summary", sheet, self.look.style, format)
        path = self.folder / f"{SUMMARY}{suffix}"
        self.write(path, data)
        yield Written(path, {"kind": "summary", "images": len(ranked), "of": count}, len(data))


def encoded(kind: str, sheet: Sheet, style: Style, format: str, title: str = "") -> tuple[bytes, str]:
    """Return the bytes and the suffix of a composed figure."""
    figure = compose(kind, sheet, format, style, title=title)
    return encode(figure, Look(format=format)), figure.suffix


def _strip(comparison: Comparison, across: int) -> Group:
    """Return all sides in order, `across` in a row, without differences."""
    group, last = comparison.group(), len(comparison.sides) - 1
    numbers = [
        f"r = {fixed(comparison.correlation(number, last))}" if number < last else "" for number in range(last + 1)
    ]
    cells = [replace(cell, notes=(*cell.notes, text)) for cell, text in zip(group.cells, numbers, strict=True)]
    return replace(group, cells=tuple(cells), differences=(), across=min(across, len(cells)))


def _frame(comparison: Comparison, number: int) -> Group:
    """Return the image and the map of one side."""
    group = comparison.group()
    return replace(group, cells=(group.cells[number],), differences=())
