"""Images through a model to files: decode, batch, explain, draw, write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from camviz.engine.explain import Explainer
from camviz.hooks.devices import default_batch_size
from camviz.io.inputs import Input
from camviz.io.videos import is_video
from camviz.models.preprocess import prepare, prepare_clip
from camviz.run.database.records import Record, SavedMap, predictions
from camviz.run.flow import Flow, Stages
from camviz.run.output.map_files import write_maps
from camviz.run.reading import Ready, read_input, shape_of
from camviz.run.replicas import Lane, is_light, lanes_for
from camviz.run.run_context import Workplace
from camviz.run.threads import cores, one_thread_each, torch_threads
from camviz.run.video_frames import Camera, explain_video
from camviz.run.video_output import stills
from camviz.types import Image, Job, SaliencyMap


def heatmaps(
    job: Job, explainer: Explainer, inputs: Iterable[Input], workplace: Workplace, lanes: Sequence[Lane] = ()
) -> Iterator[Record]:
    """Each image's record, as soon as its files are complete. `lanes`: those of an earlier call, to be used again."""
    light = is_light(job, explainer)
    lanes = lanes or lanes_for(job, explainer)
    torch_threads(cores() // len(lanes))
    one_thread_each()
    batch = (job.batch_size or default_batch_size(explainer.model.device)) if light else 1
    look, pace, videos = stills(job.look), workplace.pace(batch, len(lanes)), list[Input]()

    def images() -> Iterator[Input]:
        for source in inputs:
            if is_video(source.path) and not source.error:
                videos.append(source)
            else:
                yield source

    seen, draws = explainer.model.preprocessing, workplace.draws and job.look.scale != "run"

    def prepared(source: Input, images: Sequence[Image]) -> Ready:
        found = prepare_clip(images, seen, job.fit) if seen.frames > 1 else prepare(images[0], seen, job.fit)
        return Ready(source, images[0], *found)

    def write(source: Input, _ready: Ready, maps: list[SaliencyMap]) -> Record:
        files = tuple(write_maps(maps, source, workplace.folder, look, job.save_raw, workplace.write)) if draws else ()
        return Record(source, 0.0, tuple(map(SavedMap.of, maps)), files, predictions(maps))

    stages = Stages(lambda source: read_input(explainer.model, source, job.fit), shape_of, lanes, write)
    yield from Flow(images(), stages, pace)
    for source in videos:
        yield explain_video(job, lanes, Camera(seen.frames, prepared), source, workplace, pace)
    for lane in lanes:
        explainer.skipped.update(lane.explainer.skipped if lane.explainer else {})
