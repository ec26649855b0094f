"""Compute a run's maps again and compare them with the saved ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from camviz.engine.explain import Explainer
from camviz.errors import InputError
from camviz.io.inputs import Failed, Input
from camviz.run.context import RunContext
from camviz.run.database.database import Database
from camviz.run.database.jobs import check_same
from camviz.run.database.records import SavedMap
from camviz.run.database.rows import JobRow
from camviz.run.heatmap import heatmaps
from camviz.types import Request

_NAMES = ("method", "layer", "target", "index")


@dataclass(frozen=True)
class Compared:
    """One map then and now. `difference` is the largest of any place, None where there is nothing to compare."""

    input: str
    method: str | None
    layer: str | None
    target: str | None
    equal: bool  # bit for bit
    difference: float | None = None
    relative: float | None = None  # to the largest magnitude of the map as it was
    why: str = ""

    def within(self, tolerance: float) -> bool:
        """Whether it is equal, or differs by so much at most, relative to the largest magnitude."""
        return self.equal or (self.relative is not None and self.relative <= tolerance)

    def describe(self) -> str:
        """Return a line of text."""
        name = ", ".join(part for part in (self.input, self.method, self.target) if part)
        if self.difference is None:
            return f"{name}: {self.why}"
        share = f", {self.relative:.2g} of the largest value" if self.relative is not None else ""
        return f"{name}: largest difference {self.difference:.3g}{share}"


def replay(
    database: Database, row: JobRow, job: Request, explainer: Explainer, failed: Failed, urls: bool = False
) -> Iterator[Compared]:
    """Compute the maps of a job again, from the same images, and compare them; writes nothing.

    Images that had failed are left out. An image that is missing or changed is reported to `failed`. `urls`: whether
    images are read from URLs.
    """
    known: dict[str, int] = {}
    inputs: list[Input] = []
    for row_input in sorted(database.inputs(row.id, "done"), key=lambda each: each.id):  # as they were computed
        try:
            check_same(row_input, urls)
        except InputError as error:
            failed(row_input.name, error)
        else:
            known[row_input.name] = row_input.id
            inputs.append(Input(row_input.path, row_input.name))
    for record in heatmaps(job, explainer, inputs, RunContext(database.folder, fits=row.batch_size, draws=False)):
        if record.error:
            failed(record.source.name, record.error)
        else:
            try:
                compared = list(compare(record.source.name, database.maps(known[record.source.name]), record.maps))
            except InputError as error:  # a damaged map
                failed(record.source.name, error)
            else:
                yield from compared


def compare(name: str, then: Iterable[SavedMap], now: Iterable[SavedMap]) -> Iterator[Compared]:
    """The maps of one image, pair by pair in the order of their making; one without a partner is not equal."""
    first, second = list(then), list(now)
    for place in range(max(len(first), len(second))):
        old = first[place] if place < len(first) else None
        new = second[place] if place < len(second) else None
        some = old or new
        assert some
        facts: dict[str, Any] = {key: some.fields.get(key) for key in ("method", "layer", "target")}
        yield Compared(name, **facts, **_verdict(old, new))


def _verdict(old: SavedMap | None, new: SavedMap | None) -> dict[str, Any]:
    if old is None or new is None:
        return {"equal": False, "why": "was not there before" if old is None else "is not there any more"}
    for key in _NAMES:
        if old.fields.get(key) != new.fields.get(key):
            return {"equal": False, "why": f"the {key} was {old.fields.get(key)!r}, now {new.fields.get(key)!r}"}
    if old.shape != new.shape:
        return {"equal": False, "why": f"was {old.shape[0]}×{old.shape[1]}, now {new.shape[0]}×{new.shape[1]}"}
    if old.view != new.view:
        return {"equal": False, "why": "covers another part of the image"}
    before, after = old.values, new.values
    equal = before.tobytes() == after.tobytes()
    if not np.array_equal(np.isfinite(before), np.isfinite(after)):
        return {"equal": equal, "why": "other places are not finite"}
    finite = np.isfinite(before)
    gaps = np.abs(after[finite].astype(np.float64) - before[finite])
    largest, top = float(gaps.max(initial=0)), float(np.abs(before[finite]).max(initial=0))
    return {"equal": equal, "difference": largest, "relative": largest / top if top else None if largest else 0.0}
