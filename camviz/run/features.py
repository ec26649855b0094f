"""Run images through a model to figures of feature maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from camviz.errors import RequestError
from camviz.feature_maps.attention_figures import heads
from camviz.feature_maps.attention_heads import HeadExtractor, HeadMaps
from camviz.feature_maps.extract import Extractor
from camviz.feature_maps.figures import channels, clusters, frames, reduction, run_limits, strip
from camviz.feature_maps.incremental_pca import Basis, IncrementalPCA, with_foreground
from camviz.feature_maps.maps import FeatureMaps, check_finite
from camviz.feature_maps.patch_figures import correspondences, similarities
from camviz.feature_maps.patch_similarity import mutual_matches
from camviz.feature_maps.request import FeatureRequest
from camviz.io.inputs import Input
from camviz.models.extra_inputs import batch_size
from camviz.models.layers import find_layers, stages
from camviz.models.outputs import surveyed
from camviz.render import animation
from camviz.render.paper import FORMATS
from camviz.run.context import RunContext
from camviz.run.database.records import Record
from camviz.run.feature_references import References, references_of
from camviz.run.feature_spool import FeatureSpool
from camviz.run.flow import Flow, Stages
from camviz.run.job import Load, Task
from camviz.run.output.map_files import npy
from camviz.run.output.written import Written, write_figure
from camviz.run.reading import Ready, read_input, shape_of
from camviz.types import Figure, Look

_MATCHES = 16  # drawn between two images by default

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
        seen = surveyed(model)
        layers = stages(model) if strip and not request.layers else find_layers(model, request.layers, seen)
        job.check_layers(layers)
        extractor = Extractor(model, layers, "".join(request.targets), request.precision, strip, job.fit, seen)
    names = [] if request.layers else extractor.names
    references = references_of(job, model, extractor)
    return Task(partial(features, job, extractor, references), layers=names, model=model.name)


def features(
    job: FeatureRequest,
    extractor: Extractor | HeadExtractor,
    references: References,
    inputs: Iterable[Input],
    context: RunContext,
) -> Iterator[Record]:
    """Yield each image's record as soon as its figures are complete.

    For a color scale or a PCA basis of the whole run the images are read twice, and go through the model once.
    """
    model, pca, bases = extractor.model, dict[str, IncrementalPCA](), dict[str, Basis]()
    spool: FeatureSpool | None = None

    def extract(group: list[Ready]) -> list[list[FeatureMaps]]:
        kept = [spool.get(ready.source.path, ready.image) for ready in group] if spool else [None] * len(group)
        left = [ready for ready, layers in zip(group, kept, strict=True) if layers is None]
        computed = iter(
            extractor([r.image for r in left], [r.values for r in left], [r.view for r in left]) if left else ()
        )
        return [next(computed) if layers is None else layers for layers in kept]

    def add(source: Input, _ready: Ready, layers: list[FeatureMaps]) -> Record:
        if spool and not spool.put(source.path, layers) and job.foreground:
            raise RequestError("the features of the images are too large for --foreground", "fewer images or layers")
        with adding:
            for maps in layers:
                pca.setdefault(maps.layer, IncrementalPCA(len(maps.values), job.reduce == "pca")).add(maps.values)
        return Record(source)

    def write(source: Input, _ready: Ready, layers: list[FeatureMaps]) -> Record:
        layers = [replace(maps, basis=bases.get(maps.layer)) for maps in layers]
        draw = partial(_figure, job, pca, references)
        return Record(source, written=tuple(_write(job, layers, source, context, draw)))

    read, adding = partial(read_input, model, fit=job.fit), Lock()
    batch = batch_size(model, job.batch_size)
    if job.twice:
        inputs, spool = list(inputs), FeatureSpool(context.folder)
        pace = replace(context.pace(batch, 1), threads=1)  # sums in a fixed order
        for done, _ in enumerate(Flow(inputs, Stages(read, shape_of, [extract], add), pace), 1):
            context.passed(done)
        if job.reduce == "pca":
            bases |= {layer: sums.basis() for layer, sums in pca.items()}
        if job.foreground:
            bases |= {layer: with_foreground(basis, spool.values(layer)) for layer, basis in bases.items()}
    yield from context.flow(inputs, Stages(read, shape_of, [extract], write), batch)


def _write(
    job: FeatureRequest,
    layers: Sequence[FeatureMaps],
    source: Input,
    context: RunContext,
    draw: Callable[[FeatureMaps], Figure],
) -> Iterator[Written]:
    look = Look(format=job.format if job.format in FORMATS else "png")
    base: dict[str, Any] = {"input": str(source.path), "model": layers[0].model}
    note = check_finite(layers)
    base |= {"note": note} if note else {}
    if job.layout == "strip":
        yield write_figure(_strip(job, layers), context.folder, source.stem, (job.shows,), base, look, context.write)
    for maps in layers:
        parts = [job.shows, maps.layer] if len(layers) > 1 else [job.shows]
        facts = {**base, "layer": maps.layer, "shape": list(maps.values.shape), "sparsity": round(maps.sparsity, 6)}
        if job.layout == "grid":
            figure = draw(maps)
            recorded = {**facts, **figure.facts}
            yield write_figure(figure, context.folder, source.stem, parts, recorded, look, context.write)
        if job.save_raw:
            raw = Figure("raw", ".npy", data=npy(maps.values))
            yield write_figure(raw, context.folder, source.stem, parts, facts, write=context.write)


def _figure(
    job: FeatureRequest, pca: Mapping[str, IncrementalPCA], references: References, maps: FeatureMaps
) -> Figure:
    style = replace(job.style, format=job.format)
    if job.style.scale == "run" and maps.layer in pca and job.reduce is None:
        style = replace(style, within=run_limits(pca[maps.layer].largest, pca[maps.layer].smallest))
    if job.like:
        return similarities(maps, references.queries[maps.layer], **vars(style))
    if job.correspond:
        other = references.others[maps.layer]
        matches = mutual_matches(maps.values, other.values, job.style.top or _MATCHES)
        return correspondences(maps, other, matches, **vars(style))
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
