"""Run images through a model to heatmaps: decode, batch, explain, draw, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from camviz.engine.explain import Explainer
from camviz.io.inputs import Input
from camviz.io.videos import is_video
from camviz.models.extra_inputs import batch_size
from camviz.models.preprocess import prepare, prepare_clip
from camviz.run.context import RunContext
from camviz.run.database.records import Record, SavedMap, predictions
from camviz.run.flow import Stages
from camviz.run.job import Load, Task, Tick
from camviz.run.output.map_files import write_maps
from camviz.run.reading import Ready, read_input, shape_of
from camviz.run.replicas import Lane, is_light, lanes_for
from camviz.run.video_frames import Camera, explain_video
from camviz.run.video_output import stills
from camviz.types import Image, Request, SaliencyMap


def heatmap_task(request: Request, load: Load, tick: Tick) -> Task:
    """Return the task of explaining images with the first model, and drawing them as `request.look` says."""
    explainer = Explainer(load(0), request, tick)
    lanes: list[Lane] = []

    def records(inputs: Iterable[Input], context: RunContext) -> Iterator[Record]:
        lanes.extend(() if lanes else lanes_for(request, explainer))
        return heatmaps(request, explainer, inputs, context, lanes)

    return task_of(explainer, records)


def task_of(explainer: Explainer, records: Callable[[Iterable[Input], RunContext], Iterator[Record]]) -> Task:
    """Return the task of an explainer, with its notes and default layers."""
    layers = [] if explainer.request.layers else [layer.path for layer in explainer.layers[:1]]
    return Task(records, list(explainer.notes), layers, explainer.model.name, explainer.skipped)


def heatmaps(
    request: Request, explainer: Explainer, inputs: Iterable[Input], context: RunContext, lanes: Sequence[Lane] = ()
) -> Iterator[Record]:
    """Yield each image's record as soon as its files are complete. `lanes`: the engines of an earlier call."""
    lanes = lanes or lanes_for(request, explainer)
    batch = batch_size(explainer.model, request.batch_size) if is_light(request, explainer) else 1
    look, videos = stills(request.look), list[Input]()

    def images() -> Iterator[Input]:
        for source in inputs:
            if is_video(source.path) and not source.error:
                videos.append(source)
            else:
                yield source

    seen, draws = explainer.model.preprocessing, context.draws and request.look.scale != "run"

    def prepared(source: Input, images: Sequence[Image]) -> Ready:
        ready = prepare_clip(images, seen, request.fit) if seen.frames > 1 else prepare(images[0], seen, request.fit)
        return Ready(source, images[0], *ready)

    def write(source: Input, _ready: Ready, maps: list[SaliencyMap]) -> Record:
        files = tuple(write_maps(maps, source, context.folder, look, request.save_raw, context.write)) if draws else ()
        return Record(source, 0.0, tuple(map(SavedMap.of, maps)), files, predictions(maps))

    stages = Stages(lambda source: read_input(explainer.model, source, request.fit), shape_of, lanes, write)
    yield from context.flow(images(), stages, batch)
    for source in videos:
        camera = Camera(seen.frames, prepared)
        yield explain_video(request, lanes, camera, source, context, context.pace(batch, len(lanes)))
    for lane in lanes:
        explainer.skipped.update(lane.explainer.skipped if lane.explainer else {})
