"""Pictures through a model to files: decode, batch, explain, draw, write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from camviz.engine.chunks import out_of_memory
from camviz.engine.devices import default_batch_size
from camviz.engine.explain import Explainer
from camviz.engine.lanes import small, twin
from camviz.errors import InputError
from camviz.models.preprocess import prepare, prepare_clip
from camviz.pictures import read_picture
from camviz.run.films import stills
from camviz.run.flow import Flow, Pace, Stages
from camviz.run.inputs import Input
from camviz.run.ledger.records import Record, SavedMap, predictions
from camviz.run.output.drawn import Write, write_maps
from camviz.run.output.files import write_file
from camviz.run.threads import LANES, cores, one_thread_each, torch_threads
from camviz.run.videos import Camera, explain_video
from camviz.types import Job, Model, Picture, SaliencyMap, View
from camviz.videos import is_video

Failed = Callable[[str, InputError], None]
_LIGHT = ("nothing", "1 backward")  # what a method costs that is done in a moment


@dataclass(frozen=True, eq=False)
class Ready:
    """A picture that was read: `values` (channels, H, W) is the network's input, `view` leads back."""

    source: Input
    picture: Picture
    values: NDArray[np.float32]
    view: View


def read_input(model: Model, source: Input, fit: str) -> Ready:
    """Decode and prepare one input; raises `InputError`."""
    if source.error:
        raise source.error
    picture = read_picture(source.path)
    return Ready(source, picture, *prepare(picture, model.preprocessing, fit))


def read_inputs(model: Model, inputs: Iterable[Input], fit: str, failed: Failed) -> Iterator[Ready]:
    """Decode and prepare the inputs as they are asked for; one that fails is told to `failed` and passed over."""
    for source in inputs:
        try:
            yield read_input(model, source, fit)
        except InputError as error:
            failed(source.name, error)


@dataclass(frozen=True)
class How:
    """What a run may decide beside its job: where files go, the largest batch known to fit, whom to tell a smaller.

    Without `draws` there are maps, but no files; so it is with one scale for a run, until all maps are known. `frames`
    hears how many of a video's frames are done.
    """

    folder: Path
    write: Write = write_file
    fits: int | None = None
    smaller: Callable[[int], None] = lambda _size: None
    strict: bool = False
    draws: bool = True
    frames: Callable[[int, int], None] = lambda _done, _total: None

    def pace(self, batch: int, lanes: int) -> Pace:
        """The batch and the threads of a flow with so many engines."""
        batch = min(batch, self.fits or batch)
        return Pace(batch, max(cores(), lanes), self.strict, out_of_memory, self.smaller)


def heatmaps(
    job: Job, explainer: Explainer, inputs: Iterable[Input], how: How, lanes: Sequence[Lane] = ()
) -> Iterator[Record]:
    """Each picture's record, as soon as its files are complete. `lanes`: those of an earlier call, to be used again."""
    light = _light(job, explainer)
    lanes = lanes or lanes_for(job, explainer)
    torch_threads(cores() // len(lanes))
    one_thread_each()
    batch = (job.batch_size or default_batch_size(explainer.model.device)) if light else 1
    look, pace, videos = stills(job.look), how.pace(batch, len(lanes)), list[Input]()

    def pictures() -> Iterator[Input]:
        for source in inputs:
            if is_video(source.path) and not source.error:
                videos.append(source)
            else:
                yield source

    seen, draws = explainer.model.preprocessing, how.draws and job.look.scale != "run"

    def prepared(source: Input, pictures: Sequence[Picture]) -> Ready:
        found = prepare_clip(pictures, seen, job.fit) if seen.frames > 1 else prepare(pictures[0], seen, job.fit)
        return Ready(source, pictures[0], *found)

    def write(source: Input, _ready: Ready, maps: list[SaliencyMap]) -> Record:
        files = tuple(write_maps(maps, source, how.folder, look, job.save_raw, how.write)) if draws else ()
        return Record(source, 0.0, tuple(map(SavedMap.of, maps)), files, predictions(maps))

    stages = Stages(lambda source: read_input(explainer.model, source, job.fit), shape_of, lanes, write)
    yield from Flow(pictures(), stages, pace)
    for source in videos:
        yield explain_video(job, lanes, Camera(seen.frames, prepared), source, how, pace)
    for lane in lanes:
        explainer.skipped.update(lane.explainer.skipped if lane.explainer else {})


def _light(job: Job, explainer: Explainer) -> bool:
    return all(chosen.entry.facts["cost"].startswith(_LIGHT) for chosen in explainer.methods) and job.smooth == "none"


def lanes_for(job: Job, explainer: Explainer) -> list[Lane]:
    """The explainer, and others beside it.

    Light methods of small networks run on several pictures at once, a thread each; everything else has all threads
    for itself. That depends on nothing but job, network and machine, so that the same run gives the same bytes.
    """
    return _side_by_side(job, explainer) if _light(job, explainer) else [Lane(job, explainer)]


@dataclass(eq=False)
class Lane:
    """An explainer, or one that is made from a copy of the network when it is first needed."""

    job: Job
    explainer: Explainer | None = None
    original: Model | None = None  # never run itself

    def __call__(self, group: list[Ready]) -> Sequence[list[SaliencyMap] | Exception]:
        if self.explainer is None:
            with _COPYING:
                copied = twin(self.original) if self.original else None
            assert copied
            self.explainer = Explainer(copied, self.job)
        return self.explainer([r.picture for r in group], [r.values for r in group], [r.view for r in group])


_COPYING = threading.Lock()


def shape_of(ready: Ready) -> tuple[int, ...]:
    """Pictures of one shape fit into one batch."""
    return ready.values.shape


def _side_by_side(job: Job, explainer: Explainer) -> list[Lane]:
    """The explainer, and as many more as cores can be kept busy with, on copies of its network."""
    model, first = explainer.model, Lane(job, explainer)
    lanes = min(cores(), LANES) if model.device == "cpu" and small(model) else 1
    original = twin(model) if lanes > 1 else None
    return [first, *(Lane(job, original=original) for _ in range(lanes - 1))] if original else [first]
