"""Run images through a model to figures of feature maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from camviz.feature_maps.attention_figures import heads
from camviz.feature_maps.attention_heads import HeadExtractor, HeadMaps
from camviz.feature_maps.extract import Extractor
from camviz.feature_maps.figures import channels, clusters, frames, reduction, run_limits, strip
from camviz.feature_maps.incremental_pca import IncrementalPCA
from camviz.feature_maps.maps import FeatureMaps, check_finite
from camviz.feature_maps.request import FeatureRequest
from camviz.io.inputs import Input
from camviz.models.extra_inputs import batch_size
from camviz.models.layers import find_layers, stages
from camviz.render import animation
from camviz.render.paper import FORMATS
from camviz.run.context import RunContext
from camviz.run.database.records import Record
from camviz.run.flow import Flow, Stages
from camviz.run.job import Load, Task
from camviz.run.output.map_files import npy
from camviz.run.output.written import Written, write_figure
from camviz.run.reading import Ready, read_input, shape_of
from camviz.types import Figure, Look

if TYPE_CHECKING:
    from camviz.run.settings import FeatureSettings


def feature_task(settings: FeatureSettings, load: Load) -> Task:
    """Return the task of drawing feature maps, with layers and channels checked."""
    job, request, model = settings.features, settings.request, load(0)
    extractor: Extractor | HeadExtractor
    if job.attention:
        extractor = HeadExtractor(model, request.layers, request.precision, job.fit)
        job.check_heads(extractor.heads, extractor.names[0])
    else:
        strip = job.layout == "strip"
        layers = stages(model) if strip and not request.layers else find_layers(model, request.layers)
        job.check_layers(layers)
        extractor = Extractor(model, layers, "".join(request.targets), request.precision, strip, job.fit)
    names = [] if request.layers else extractor.names
    return Task(partial(features, job, extractor), layers=names, model=model.name)


def features(
    job: FeatureRequest, extractor: Extractor | HeadExtractor, inputs: Iterable[Input], context: RunContext
) -> Iterator[Record]:
    """Yield each image's record as soon as its figures are complete.

    For a color scale or a PCA basis of the whole run the images are read twice.
    """
    model, pca = extractor.model, dict[str, IncrementalPCA]()

    def extract(group: list[Ready]) -> list[list[FeatureMaps]]:
        return extractor([r.image for r in group], [r.values for r in group], [r.view for r in group])

    def add(source: Input, _ready: Ready, layers: list[FeatureMaps]) -> Record:
        with adding:
            for maps in layers:
                pca.setdefault(maps.layer, IncrementalPCA(len(maps.values), job.reduce == "pca")).add(maps.values)
        return Record(source)

    def write(source: Input, _ready: Ready, layers: list[FeatureMaps]) -> Record:
        if job.reduce == "pca":
            layers = [replace(maps, basis=pca[maps.layer].basis()) for maps in layers]
        return Record(source, written=tuple(_write(job, layers, source, context, pca)))

    read, adding = partial(read_input, model, fit=job.fit), Lock()
    batch = batch_size(model, job.batch_size)
    if job.twice:
        inputs = list(inputs)
        pace = replace(context.pace(batch, 1), threads=1)  # sums in a fixed order
        for done, _ in enumerate(Flow(inputs, Stages(read, shape_of, [extract], add), pace), 1):
            context.passed(done)
    yield from context.flow(inputs, Stages(read, shape_of, [extract], write), batch)


def _write(
    job: FeatureRequest,
    layers: Sequence[FeatureMaps],
    source: Input,
    context: RunContext,
    pca: dict[str, IncrementalPCA],
) -> Iterator[Written]:
    look = Look(format=job.format if job.format in FORMATS else "png")
    base: dict[str, Any] = {"input": str(source.path), "model": layers[0].model}
    note = check_finite(layers)
    base |= {"note": note} if note else {}
    if job.layout == "strip":
        yield write_figure(_strip(job, layers), context.folder, source.stem, (job.shows,), base, look, context.write)
    for one in layers:
        parts = [job.shows, one.layer] if len(layers) > 1 else [job.shows]
        facts = {**base, "layer": one.layer, "shape": list(one.values.shape), "sparsity": round(one.sparsity, 6)}
        if job.layout == "grid":
            figure = _figure(job, one, pca.get(one.layer))
            told = {**facts, **figure.facts}
            yield write_figure(figure, context.folder, source.stem, parts, told, look, context.write)
        if job.save_raw:
            raw = Figure("raw", ".npy", data=npy(one.values))
            yield write_figure(raw, context.folder, source.stem, parts, facts, write=context.write)


def _figure(job: FeatureRequest, maps: FeatureMaps, pca: IncrementalPCA | None) -> Figure:
    style = replace(job.style, format=job.format)
    if job.style.scale == "run" and pca and job.reduce is None:
        style = replace(style, within=run_limits(pca.largest, pca.smallest))
    if isinstance(maps, HeadMaps) and job.reduce is None:
        return heads(maps, **vars(style))
    if job.reduce is None:
        return channels(maps, **vars(style))
    if job.reduce == "cluster":
        return clusters(maps, job.style.top or 8, **vars(style))
    return reduction(maps, job.reduce, job.overlay, **vars(style))


def _strip(job: FeatureRequest, layers: Sequence[FeatureMaps]) -> Figure:
    how = job.reduce or "l2"
    if job.format in FORMATS:
        return strip(layers, how, **vars(replace(job.style, format=job.format)))
    images = [np.ascontiguousarray(tile) for tile, _ in frames(layers, how, job.style)]
    return Figure("features-film", f".{job.format}", data=animation.animate(images, job.format))
