"""Images through a model to figures of feature maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from camviz.feature_maps.attention_figures import heads
from camviz.feature_maps.attention_heads import HeadExtractor, HeadMaps
from camviz.feature_maps.extract import Extractor
from camviz.feature_maps.figures import channels, clusters, frames, reduction, run_limits, strip
from camviz.feature_maps.incremental_pca import IncrementalPCA
from camviz.feature_maps.job import FeatureJob
from camviz.feature_maps.maps import FeatureMaps, check_finite
from camviz.hooks.devices import default_batch_size
from camviz.io.inputs import Input
from camviz.models.layers import find_layers, stages
from camviz.render import animation
from camviz.render.encoding import FORMATS, suffix
from camviz.run.database.records import Record
from camviz.run.flow import Flow, Stages
from camviz.run.output.map_files import npy
from camviz.run.output.written import Written, write_figure
from camviz.run.reading import Ready, read_input, shape_of
from camviz.run.run_context import Workplace
from camviz.run.threads import cores, one_thread_each, torch_threads
from camviz.types import Figure, Look, Model


@dataclass(frozen=True)
class Asked:
    """Which layers, for which target, at what precision."""

    patterns: tuple[str, ...] = ()
    target: str = ""
    precision: str = "fp32"


def extractor_for(job: FeatureJob, model: Model, asked: Asked) -> Extractor | HeadExtractor:
    """What extracts the maps of a job, with everything asked for checked."""
    if job.attention:
        heads = HeadExtractor(model, asked.patterns, asked.precision)
        job.check_heads(heads.heads, heads.names[0])
        return heads
    strip = job.layout == "strip"
    layers = stages(model) if strip and not asked.patterns else find_layers(model, asked.patterns)
    job.check_layers(layers)
    return Extractor(model, layers, asked.target, asked.precision, fields=strip)


def features(
    job: FeatureJob, extractor: Extractor | HeadExtractor, inputs: Iterable[Input], workplace: Workplace
) -> Iterator[Record]:
    """Each image's record, as soon as its figures are complete.

    With one scale or basis for the run the images are read twice.
    """
    model, pca = extractor.model, dict[str, IncrementalPCA]()
    torch_threads(cores())
    one_thread_each()

    def extract(group: list[Ready]) -> list[list[FeatureMaps]]:
        return extractor([r.image for r in group], [r.values for r in group], [r.view for r in group])

    def add(source: Input, _ready: Ready, layers: list[FeatureMaps]) -> Record:
        with adding:
            for one in layers:
                known = pca.setdefault(one.layer, IncrementalPCA(len(one.values), job.reduce == "pca"))
                known.add(one.values)
        return Record(source)

    def write(source: Input, _ready: Ready, layers: list[FeatureMaps]) -> Record:
        if job.reduce == "pca":
            layers = [replace(one, basis=pca[one.layer].basis()) for one in layers]
        return Record(source, written=tuple(_write(job, layers, source, workplace, pca)))

    read, adding = partial(read_input, model, fit=job.fit), Lock()
    pace = workplace.pace(job.batch_size or default_batch_size(model.device), 1)
    if job.twice:
        inputs = list(inputs)
        for _ in Flow(inputs, Stages(read, shape_of, [extract], add), replace(pace, threads=1)):
            pass
    yield from Flow(inputs, Stages(read, shape_of, [extract], write), pace)


def _write(
    job: FeatureJob, layers: Sequence[FeatureMaps], source: Input, workplace: Workplace, pca: dict[str, IncrementalPCA]
) -> Iterator[Written]:
    look = Look(format=job.format if job.format in FORMATS else "png")
    base: dict[str, Any] = {"input": str(source.path), "model": layers[0].model}
    note = check_finite(layers)
    base |= {"note": note} if note else {}
    if job.layout == "strip":
        yield write_figure(_strip(job, layers), workplace.folder, source.name, (), base, look, workplace.write)
    for one in layers:
        facets = [one.layer] if len(layers) > 1 else []
        facts = {**base, "layer": one.layer, "shape": list(one.values.shape), "sparsity": round(one.sparsity, 6)}
        if job.layout == "grid":
            figure = _figure(job, one, pca.get(one.layer))
            told = {**facts, **figure.facts}
            yield write_figure(figure, workplace.folder, source.name, facets, told, look, workplace.write)
        if job.save_raw:
            raw = Figure("raw", ".npy", data=npy(one.values))
            yield write_figure(raw, workplace.folder, source.name, facets, facts, write=workplace.write)


def _figure(job: FeatureJob, maps: FeatureMaps, pca: IncrementalPCA | None) -> Figure:
    style = replace(job.style, suffix=suffix(job.format))
    if job.style.scale == "run" and pca and job.reduce is None:
        style = replace(style, within=run_limits(pca.largest, pca.smallest))
    if isinstance(maps, HeadMaps) and job.reduce is None:
        return heads(maps, **vars(style))
    if job.reduce is None:
        return channels(maps, **vars(style))
    if job.reduce == "cluster":
        return clusters(maps, job.style.top or 8, **vars(style))
    return reduction(maps, job.reduce, job.overlay, **vars(style))


def _strip(job: FeatureJob, layers: Sequence[FeatureMaps]) -> Figure:
    how = job.reduce or "l2"
    if job.format in FORMATS:
        return strip(layers, how, **vars(replace(job.style, suffix=suffix(job.format))))
    images = [np.ascontiguousarray(tile) for tile, _ in frames(layers, how, job.style, 420)]
    return Figure("features-film", f".{job.format}", data=animation.animate(images, job.format))
