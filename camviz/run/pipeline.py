"""Pictures through a model to files: decode, batch, explain, draw, write."""

from __future__ import annotations

import io
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
from camviz.render import draw, takes_all
from camviz.run.inputs import Input
from camviz.run.report import Report
from camviz.run.written import Written, write_artefact
from camviz.types import Artefact, Job, Model, Picture, SaliencyMap, View

Failed = Callable[[str, InputError], None]


@dataclass(frozen=True, eq=False)
class Ready:
    """A picture that was read: `values` (channels, H, W) is the network's input, `view` leads back."""

    source: Input
    picture: Picture
    values: NDArray[np.float32]
    view: View


def read_inputs(model: Model, inputs: Iterable[Input], fit: str, failed: Failed) -> Iterator[Ready]:
    """Decode and prepare the inputs as they are asked for; one that fails is told to `failed` and passed over."""
    for source in inputs:
        try:
            if source.error:
                raise source.error
            picture = read_picture(source.path)
            yield Ready(source, picture, *prepare(picture, model.preprocessing, fit))
        except InputError as error:
            failed(source.name, error)


def write_heatmaps(
    job: Job, explainer: Explainer, inputs: Iterable[Input], folder: Path, report: Report, failed: Failed
) -> Iterator[Written]:
    """Yield each file of maps as soon as it is complete. A picture that fails is told to `failed`."""
    size = job.batch_size or default_batch_size(explainer.model.device)
    ready = read_inputs(explainer.model, inputs, job.fit, failed)
    for group in by_shape(ready, size, key=lambda one: one.values.shape):
        for source, maps in _explained(explainer, group, failed):
            try:
                yield from _write(job, maps, folder, source)
                report.done += 1
            except InputError as error:
                failed(source.name, error)


def _explained(explainer: Explainer, group: list[Ready], failed: Failed) -> Iterator[tuple[Input, list[SaliencyMap]]]:
    try:
        maps = explainer([r.picture for r in group], [r.values for r in group], [r.view for r in group])
    except InputError as error:  # an input size the network does not take: the same for the whole group
        for ready in group:
            failed(ready.source.name, error)
        return
    for ready, found in zip(group, maps, strict=True):
        if isinstance(found, InputError):
            failed(ready.source.name, found)
        else:
            yield ready.source, found


def _write(job: Job, maps: list[SaliencyMap], folder: Path, source: Input) -> Iterator[Written]:
    """One file per map, or one sheet of all maps; and the raw maps where asked for."""
    together = takes_all(job.look.layout)
    for group in [maps] if together and maps else [[one] for one in maps]:
        artefact = draw(group[0].picture, group, job.look)
        shown = [map_facts(one, source) for one in group]
        facts = {"input": str(source.path), "maps": shown} if together else shown[0]
        yield write_artefact(artefact, folder, source.name, () if together else group[0].facets, facts, job.look)
    for saliency in maps if job.save_raw else ():
        raw = Artefact("raw", ".npy", data=npy(saliency.values))
        yield write_artefact(raw, folder, source.name, saliency.facets, map_facts(saliency, source))


def npy(values: NDArray[np.float32]) -> bytes:
    """An array as the bytes of a .npy file, float32."""
    buffer = io.BytesIO()
    np.save(buffer, values.astype(np.float32))
    return buffer.getvalue()


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
