"""Explain a video: frames are processed like images, then written as films."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from camviz.errors import InputError, RequestError
from camviz.io.inputs import Input
from camviz.io.videos import Facts, count_frames, evenly, facts_of, read_frames
from camviz.run.context import RunContext
from camviz.run.database.records import Record, failure
from camviz.run.flow import Flow, Pace, Stages
from camviz.run.reading import Ready
from camviz.run.replicas import Lane
from camviz.run.video_output import Maps, Reel, refused, write_films
from camviz.types import Image, Map, Request, SaliencyMap

Keep = Callable[[Input, Any, list[SaliencyMap]], Record]
_CUT = 0.95  # of the frames that a file announces; with fewer it is reported as truncated


@dataclass(frozen=True)
class Frame(Input):
    """A frame of a video, prepared while the video is decoded."""

    number: int = 0
    ready: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class Camera:
    """What a model sees of a video: one image at a time, or a clip of so many `frames`, made ready together."""

    frames: int
    prepared: Callable[[Input, Sequence[Image]], Ready]


def explain_video(
    request: Request, lanes: Sequence[Lane], camera: Camera, source: Input, context: RunContext, pace: Pace
) -> Record:
    """The record of a video, once its films are complete: one input, whatever the number of its frames.

    Inputs of the model are under way, and layer-sized maps go to the disk: nothing in memory grows with the video's
    length. Its raw maps are not remembered: `--save-raw` writes them.
    """
    start = time.perf_counter()
    try:
        refusal = refused(source, request.look) if context.draws else _unkept(source)
        if refusal:
            raise refusal
        known = facts_of(source.path)
        with Maps(request.look) as maps:
            if camera.frames > 1:
                reel = _clip(request, camera, source, maps, lanes, pace, known)
            else:
                frames = _frames(request, camera, source, maps)
                _compute(frames, lanes, maps, pace, context, -(-known.frames // request.every))
                reel = Reel(source, known.rate, known.rate / request.every, _told(known, request.every, maps))
            if not maps.tracks:
                raise maps.errors[min(maps.errors)]
            files = tuple(write_films(maps, reel, context.folder, request.save_raw, context.write))
            return Record(source, time.perf_counter() - start, (), files, maps.predictions)
    except Exception as error:  # as for an image: one bad video never stops the others
        if isinstance(error, RequestError) or (context.strict and not isinstance(error, InputError)):
            raise
        return failure(source, error)


def _unkept(source: Input) -> InputError:
    return InputError(
        f"'{source.path}' is a video, and its maps are not in the database", "'camviz heatmap' makes them"
    )


def _frames(request: Request, camera: Camera, source: Input, maps: Maps) -> Iterator[Frame]:
    """The frames to explain. Their pixels are let go of at once: drawing reads the video again."""
    for number, pixels in read_frames(source.path, lambda number: number % request.every == 0):
        ready = camera.prepared(source, [Image(pixels, source.path)])
        bare = Image(np.broadcast_to(np.uint8(0), pixels.shape), source.path)
        maps.numbers.append(number)
        yield Frame(source.path, f"{source.name}#{number}", number=number, ready=replace(ready, image=bare))


def _clip(
    request: Request, camera: Camera, source: Input, maps: Maps, lanes: Sequence[Lane], pace: Pace, known: Facts
) -> Reel:
    """The maps of a model of clips: the frames are spread evenly over those that `--every` leaves of the video.

    Its layer gives maps for fewer steps in time; each is shown with the frames that it stands for.
    """
    left = -(-count_frames(source.path) // request.every)
    numbers = [request.every * place for place in evenly(max(1, left), camera.frames)]
    images = {
        number: Image(pixels, source.path) for number, pixels in read_frames(source.path, set(numbers).__contains__)
    }
    ready = camera.prepared(source, [images[number] for number in numbers])
    found: list[SaliencyMap] = []

    def keep(frame: Input, _ready: Ready, made: list[SaliencyMap]) -> Record:
        found.extend(made)
        return Record(frame)

    for record in Flow([Frame(source.path, source.name, ready=ready)], _stages(lanes, keep), replace(pace, batch=1)):
        if record.error:
            raise record.error
    maps.numbers.extend(images)
    for place, number in enumerate(numbers):
        if number not in numbers[:place]:
            maps.add(
                number,
                [replace(saliency_map, values=_at(saliency_map, place, camera.frames)) for saliency_map in found],
            )
    length = request.every * left / known.rate
    facts = {"rate": round(len(images) / length, 3), "every": request.every, "clip": camera.frames}
    return Reel(source, known.rate, len(images) / length, facts)


def _at(saliency_map: SaliencyMap, frame: int, frames: int) -> Map:
    """The map of a clip's frame, from maps of all its steps below each other."""
    rows, columns = saliency_map.values.shape
    width, height = saliency_map.view.size
    steps = max(1, round(rows * width / (columns * height)))
    step: Map = saliency_map.values.reshape(steps, -1, columns)[frame * steps // frames]
    return step


def _compute(
    frames: Iterator[Frame], lanes: Sequence[Lane], maps: Maps, pace: Pace, context: RunContext, total: int
) -> None:
    """All frames through the engines; what cannot be explained is noted."""

    def keep(frame: Input, _ready: Ready, found: list[SaliencyMap]) -> Record:
        assert isinstance(frame, Frame)
        maps.add(frame.number, found)
        return Record(frame)

    for done, record in enumerate(Flow(frames, _stages(lanes, keep), pace), 1):
        context.frames(min(done, total - 1) if total else 0, total)
        assert isinstance(record.source, Frame)
        if record.error:
            maps.errors[record.source.number] = record.error
    context.frames(total, total)


def _stages(lanes: Sequence[Lane], keep: Keep) -> Stages[Ready, list[SaliencyMap]]:
    return Stages(_ready, lambda ready: ready.values.shape, lanes, keep)


def _ready(frame: Input) -> Ready:
    assert isinstance(frame, Frame)
    ready: Ready = frame.ready
    return ready


def _told(known: Facts, every: int, maps: Maps) -> dict[str, Any]:
    """What of the video belongs to every file made from it."""
    facts: dict[str, Any] = {"rate": round(known.rate / every, 3), "every": every}
    expected = -(-known.frames // every)
    if len(maps.numbers) < _CUT * expected:
        facts["note"] = f"the video is cut off: {len(maps.numbers)} of {expected} frames could be read"
    return facts
