"""Videos: every frame's maps first, on the disk, then the films that show them, on one scale for the whole video."""

from __future__ import annotations

import pickle
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import IO, Any

import numpy as np

from camviz.errors import CamvizError, InputError
from camviz.io.inputs import Input
from camviz.io.videos import read_frames
from camviz.render import animation, draw, takes_all
from camviz.render.color import limits
from camviz.render.strip import Shot, strip
from camviz.run.database.records import SavedMap, plain
from camviz.run.output.map_files import map_facts, name_parts, npy
from camviz.run.output.written import Written, write_figure
from camviz.types import Figure, Image, Look, Map, Pixels, SaliencyMap

_SHOTS = 6  # of a strip
_SAMPLES = 12  # frames that are drawn beforehand, to know how large a film gets
Facets = tuple[str, ...]


@dataclass(eq=False)
class Track:
    """What the maps of one kind have in common over a video: the first of them, their extreme, what they explain."""

    first: SavedMap
    high: float = 0.0
    explained: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    scores: dict[tuple[str, int | None], float] = field(default_factory=dict)


class Maps:
    """The maps of a video's frames, in a temporary file; a context. Frames come in any order, from any thread."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.tracks: dict[Facets, Track] = {}
        self.numbers: list[int] = []  # of the frames that were looked at
        self.errors: dict[int, CamvizError] = {}
        self._places: dict[int, tuple[int, int]] = {}
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="camviz-")  # noqa: SIM115 (closed with this)
        self._lock = threading.Lock()

    def __enter__(self) -> Maps:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def add(self, number: int, maps: Sequence[SaliencyMap]) -> None:
        """The maps of one frame."""
        saved = [SavedMap.of(saliency_map) for saliency_map in maps]
        data = pickle.dumps(saved)
        with self._lock:
            self._places[number] = self._file.seek(0, 2), len(data)
            self._file.write(data)
            for saliency_map, kept in zip(maps, saved, strict=True):
                track = self.tracks.setdefault(saliency_map.facets, Track(kept))
                track.high = max(track.high, limits(saliency_map.values, self.look.sign).high)
                what = (saliency_map.target, saliency_map.index)
                track.explained[what] += 1
                track.scores[what] = track.scores.get(what, 0.0) + saliency_map.score

    def of(self, number: int) -> dict[Facets, SavedMap]:
        """The maps of a frame; none where there was nothing to explain."""
        if number not in self._places:
            return {}
        start, length = self._places[number]
        with self._lock:
            self._file.seek(start)
            saved: list[SavedMap] = pickle.loads(self._file.read(length))
        return {tuple(saved_map.fields["facets"]): saved_map for saved_map in saved}

    def shown(self, facets: Facets, number: int, image: Image) -> SaliencyMap:
        """The map of a frame on its image; one without a value anywhere where there is none."""
        saved = self.of(number).get(facets)
        if saved:
            return saved.restored(image)
        first = self.tracks[facets].first.restored(image)
        nothing = np.full_like(first.values, np.nan)
        return replace(first, values=nothing, target="nothing found", score=np.nan, probability=None, marks=())

    @property
    def predictions(self) -> tuple[dict[str, Any], ...]:
        """What was explained, the most frequent first, with its mean score."""
        found: dict[Any, dict[str, Any]] = {}
        for track in self.tracks.values():
            for (label, index), count in track.explained.most_common():
                prediction = {
                    "label": label,
                    "index": index,
                    "score": track.scores[label, index] / count,
                    "frames": count,
                }
                found.setdefault((label, index), plain({**prediction, "probability": None}))
        return tuple(found.values())


def refused(source: Input, look: Look) -> InputError | None:
    """Why a layout cannot show a video."""
    if not takes_all(look.layout):
        return None
    return InputError(
        f"'{source.path}' is a video, and layout '{look.layout}' has a scale for each map", "--layout panel"
    )


def stills(look: Look) -> Look:
    """The look of images where films have been asked for."""
    return replace(look, format="png") if look.format in animation.FORMATS else look


@dataclass(frozen=True)
class Reel:
    """A film to make: frames per second of the video and of the film, and what else to tell of it."""

    source: Input
    rate: float
    film_rate: float
    facts: dict[str, Any] = field(default_factory=dict)


def write_films(maps: Maps, reel: Reel, folder: Any, save_raw: bool, write: Callable[..., None]) -> Iterator[Written]:
    """A film and a strip of stills for each kind of map, and the raw maps where asked for: the second reading."""
    look = maps.look if maps.look.scale.startswith("fixed:") else replace(maps.look, scale="image")
    looks = {
        facets: look if look.scale != "image" else replace(look, scale=f"fixed:{track.high!r}")
        for facets, track in maps.tracks.items()
    }
    kind = look.format if look.format in animation.FORMATS else "mp4"
    looks = {facets: replace(one, format="png", full_size=True) for facets, one in looks.items()}
    with ExitStack() as stack:
        films = {
            facets: stack.enter_context(animation.Film(kind, reel.film_rate, _size(maps, facets, one)))
            for facets, one in looks.items()
        }
        shots = _draw_all(maps, reel, films, looks)
        for facets, film in films.items():
            facts = {**_facts(maps, reel, facets), **_scale(maps, facets, looks[facets])}
            parts = name_parts(facts["method"], facets)
            figure = Figure("video", f".{kind}", data=film.finish())
            yield write_figure(figure, folder, reel.source.stem, parts, facts, write=write)
            still_look = replace(looks[facets], format=stills(maps.look).format)
            still = strip(shots[facets], still_look)
            yield write_figure(still, folder, reel.source.stem, (*parts, "strip"), facts, still_look, write)
            if save_raw:
                raw = Figure("raw", ".npy", data=npy(_stacked(maps, facets)))
                yield write_figure(raw, folder, reel.source.stem, parts, facts, write=write)


def _draw_all(
    maps: Maps, reel: Reel, films: dict[Facets, animation.Film], looks: dict[Facets, Look]
) -> dict[Facets, list[Shot]]:
    """Every frame into its films; returns the stills for the strips."""
    shots: dict[Facets, list[Shot]] = {facets: [] for facets in films}
    wanted = set(maps.numbers)
    chosen = set(_evenly(sorted(wanted), _SHOTS))
    for number, pixels in read_frames(reel.source.path, wanted.__contains__):
        image = Image(pixels, reel.source.path)
        for facets, film in films.items():
            shown = maps.shown(facets, number, image)
            drawn = draw(image, shown, looks[facets]).pixels
            assert drawn is not None
            film.add(drawn)
            if number in chosen:
                shots[facets].append(Shot(number / reel.rate, shown))
    return shots


def _evenly(numbers: Sequence[int], count: int) -> list[int]:
    """At most so many of the numbers, evenly spread, the first and the last among them."""
    places = np.linspace(0, len(numbers) - 1, min(count, len(numbers)))
    return [numbers[round(place)] for place in places]


def _size(maps: Maps, facets: Facets, look: Look) -> tuple[int, int]:
    """How large the figures get: captions are not always as long."""
    width, height = maps.tracks[facets].first.view.image
    image = Image(np.zeros((height, width, 3), np.uint8))
    drawn: list[Pixels] = []
    for number in _evenly(sorted(maps.numbers), _SAMPLES):
        pixels = draw(image, maps.shown(facets, number, image), look).pixels
        assert pixels is not None
        drawn.append(pixels)
    return max(drawn_map.shape[0] for drawn_map in drawn), max(drawn_map.shape[1] for drawn_map in drawn)


def _facts(maps: Maps, reel: Reel, facets: Facets) -> dict[str, Any]:
    """What is worth knowing of a film, ready for JSON: what of a map holds for all of them."""
    track = maps.tracks[facets]
    width, height = track.first.view.image
    first = track.first.restored(Image(np.zeros((1, 1, 3), np.uint8), reel.source.path))
    facts_of_map = map_facts(first, reel.source)
    kept = {name: facts_of_map[name] for name in ("input", "model", "method", "layer", "map", "box")}
    targets = {label: count for (label, _), count in track.explained.most_common()}
    facts = {**kept, "size": [width, height], "targets": targets, "frames": len(maps.numbers), **reel.facts}
    if maps.errors:
        reason = maps.errors[min(maps.errors)].message
        facts["note"] = f"{len(maps.errors)} of {len(maps.numbers)} frames have no map ({reason})"
    return facts


def _scale(maps: Maps, facets: Facets, look: Look) -> dict[str, Any]:
    within = limits(np.zeros(0, np.float32), look.sign, look.scale)
    return {"sign": look.sign, "low": within.low, "high": within.high, "raw_high": maps.tracks[facets].high}


def _stacked(maps: Maps, facets: Facets) -> Map:
    """The raw maps (frames, h, w); NaN where there is none."""
    blank = Image(np.zeros((1, 1, 3), np.uint8))
    return np.stack([maps.shown(facets, number, blank).values for number in sorted(maps.numbers)])
