"""Pictures through a model to files: decode, batch, explain, draw, write."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from camviz.engine.devices import default_batch_size
from camviz.engine.explain import Explainer, by_shape
from camviz.errors import InputError
from camviz.models.preprocess import prepare
from camviz.pictures import read_picture
from camviz.render import draw, encode, takes_all
from camviz.run.files import result_path, write_file
from camviz.run.inputs import Input
from camviz.run.report import Report
from camviz.types import Job, Model, Picture, SaliencyMap, View


@dataclass(frozen=True)
class Written:
    """One file on the disk and what it shows, as `--json` tells it."""

    path: Path
    facts: dict[str, Any]

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps({"path": str(self.path), **self.facts}, ensure_ascii=False)


@dataclass(frozen=True, eq=False)
class _Ready:
    source: Input
    picture: Picture
    values: NDArray[np.float32]
    view: View


def write_heatmaps(
    job: Job,
    explainer: Explainer,
    inputs: Iterable[Input],
    folder: Path,
    report: Report,
    failed: Callable[[str, InputError], None],
) -> Iterator[Written]:
    """Yield each file of maps as soon as it is complete. A picture that fails is told to `failed` and counted."""
    model = explainer.model
    size = job.batch_size or default_batch_size(model.device)

    def fail(source: Input, error: InputError) -> None:
        report.failures.append((source.name, error))
        failed(source.name, error)

    for group in by_shape(_ready(job, model, inputs, fail), size, key=lambda one: one.values.shape):
        for source, maps in _explained(explainer, group, fail):
            try:
                for written in _write(job, maps, folder, source):
                    report.written += 1
                    yield written
                report.done += 1
            except InputError as error:
                fail(source, error)


def _ready(
    job: Job, model: Model, inputs: Iterable[Input], fail: Callable[[Input, InputError], None]
) -> Iterator[_Ready]:
    for source in inputs:
        try:
            if source.error:
                raise source.error
            picture = read_picture(source.path)
            yield _Ready(source, picture, *prepare(picture, model.preprocessing, job.fit))
        except InputError as error:
            fail(source, error)


def _explained(
    explainer: Explainer, group: list[_Ready], fail: Callable[[Input, InputError], None]
) -> Iterator[tuple[Input, list[SaliencyMap]]]:
    try:
        maps = explainer([r.picture for r in group], [r.values for r in group], [r.view for r in group])
    except InputError as error:  # an input size the network does not take: the same for the whole group
        for ready in group:
            fail(ready.source, error)
        return
    yield from zip([ready.source for ready in group], maps, strict=True)


def _write(job: Job, maps: list[SaliencyMap], folder: Path, source: Input) -> Iterator[Written]:
    """One file per map, or one sheet of all maps; and the raw maps where asked for."""
    together = takes_all(job.look.layout)
    for group in [maps] if together and maps else [[one] for one in maps]:
        artefact = draw(group[0].picture, group, job.look)
        path = result_path(folder, source.name, () if together else group[0].facets, artefact.suffix)
        write_file(path, encode(artefact, job.look))
        shown = [map_facts(one, source) for one in group]
        facts = {"input": str(source.path), "maps": shown} if together else shown[0]
        yield Written(path, {"kind": artefact.kind, **facts})
    for saliency in maps if job.save_raw else ():
        buffer = io.BytesIO()
        np.save(buffer, saliency.values.astype(np.float32))
        raw = result_path(folder, source.name, saliency.facets, ".npy")
        write_file(raw, buffer.getvalue())
        yield Written(raw, {"kind": "raw", **map_facts(saliency, source)})


def map_facts(saliency: SaliencyMap, source: Input) -> dict[str, Any]:
    """What is worth knowing of a map, ready for JSON."""
    view = saliency.view
    return {
        "input": str(source.path),
        "model": saliency.model,
        "method": saliency.method,
        "layer": saliency.layer,
        "target": saliency.target,
        "index": saliency.index,
        "score": _number(saliency.score),
        "probability": _number(saliency.probability),
        "map": list(saliency.values.shape),
        "min": _number(saliency.values.min()),
        "max": _number(saliency.values.max()),
        "box": [round(side, 3) for side in view.box],
        "size": list(view.picture),
        **saliency.facts,
    }


def _number(value: Any) -> float | None:
    """JSON has no NaN and no infinity."""
    return float(value) if value is not None and np.isfinite(value) else None
