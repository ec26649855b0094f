"""Pictures through a model to figures of feature maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from camviz.engine.devices import default_batch_size
from camviz.engine.explain import by_shape
from camviz.errors import InputError
from camviz.features.extract import Extractor
from camviz.features.figures import channels, clusters, frames, reduction, run_limits, strip
from camviz.features.head_figures import heads
from camviz.features.heads import HeadExtractor, HeadMaps
from camviz.features.job import FeatureJob
from camviz.features.maps import FeatureMaps, check_finite
from camviz.features.moments import Moments
from camviz.render import animation
from camviz.render.encoding import FORMATS, suffix
from camviz.run.inputs import Input
from camviz.run.pipeline import Failed, Ready, npy, read_inputs
from camviz.run.report import Report
from camviz.run.written import Written, write_artefact
from camviz.types import Artefact, Look


def write_features(
    job: FeatureJob,
    extractor: Extractor | HeadExtractor,
    inputs: Iterable[Input],
    folder: Path,
    report: Report,
    failed: Failed,
) -> Iterator[Written]:
    """Yield each figure as soon as it is complete. With one scale or basis for the run the pictures are read twice."""
    moments: dict[str, Moments] = {}
    if job.twice:
        inputs = list(inputs)
        for _, layers in _extracted(job, extractor, inputs, lambda *_: None):
            for one in layers:
                known = moments.setdefault(one.layer, Moments(len(one.values), job.reduce == "pca"))
                known.add(one.values)
    for ready, layers in _extracted(job, extractor, inputs, failed):
        try:
            if job.reduce == "pca":
                layers = [replace(one, basis=moments[one.layer].basis()) for one in layers]
            yield from _write(job, layers, folder, ready.source, moments)
            report.done += 1
        except InputError as error:
            failed(ready.source.name, error)


def _extracted(
    job: FeatureJob, extractor: Extractor | HeadExtractor, inputs: Iterable[Input], failed: Failed
) -> Iterator[tuple[Ready, list[FeatureMaps]]]:
    size = job.batch_size or default_batch_size(extractor.model.device)
    ready = read_inputs(extractor.model, inputs, job.fit, failed)
    for group in by_shape(ready, size, key=lambda one: one.values.shape):
        try:
            found = extractor([r.picture for r in group], [r.values for r in group], [r.view for r in group])
        except InputError as error:
            for one in group:
                failed(one.source.name, error)
            continue
        yield from zip(group, found, strict=True)


def _write(
    job: FeatureJob, layers: Sequence[FeatureMaps], folder: Path, source: Input, moments: dict[str, Moments]
) -> Iterator[Written]:
    look = Look(format=job.format if job.format in FORMATS else "png")
    base: dict[str, Any] = {"input": str(source.path), "model": layers[0].model}
    note = check_finite(layers)
    base |= {"note": note} if note else {}
    if job.layout == "strip":
        yield write_artefact(_strip(job, layers), folder, source.name, (), base, look)
    for one in layers:
        facets = [one.layer] if len(layers) > 1 else []
        facts = {**base, "layer": one.layer, "shape": list(one.values.shape), "sparsity": round(one.sparsity, 6)}
        if job.layout == "grid":
            artefact = _figure(job, one, moments.get(one.layer))
            yield write_artefact(artefact, folder, source.name, facets, {**facts, **artefact.facts}, look)
        if job.save_raw:
            raw = Artefact("raw", ".npy", data=npy(one.values))
            yield write_artefact(raw, folder, source.name, facets, facts)


def _figure(job: FeatureJob, maps: FeatureMaps, moments: Moments | None) -> Artefact:
    style = replace(job.style, suffix=suffix(job.format))
    if job.style.scale == "run" and moments and job.reduce is None:
        style = replace(style, within=run_limits(moments.largest, moments.smallest))
    if isinstance(maps, HeadMaps) and job.reduce is None:
        return heads(maps, **vars(style))
    if job.reduce is None:
        return channels(maps, **vars(style))
    if job.reduce == "cluster":
        return clusters(maps, job.style.top or 8, **vars(style))
    return reduction(maps, job.reduce, job.overlay, **vars(style))


def _strip(job: FeatureJob, layers: Sequence[FeatureMaps]) -> Artefact:
    how = job.reduce or "l2"
    if job.format in FORMATS:
        return strip(layers, how, **vars(replace(job.style, suffix=suffix(job.format))))
    pictures = [np.ascontiguousarray(tile) for tile, _ in frames(layers, how, job.style, 420)]
    return Artefact("features-film", f".{job.format}", data=animation.animate(pictures, job.format))
