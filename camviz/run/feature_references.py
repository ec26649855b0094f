"""What the patches of a run are compared with: patches at points, or another image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from camviz.errors import InputError, RequestError
from camviz.feature_maps.maps import FeatureMaps
from camviz.feature_maps.patch_similarity import Point, Query, query_at
from camviz.feature_maps.request import FeatureRequest
from camviz.io.inputs import Input
from camviz.run.reading import read_input
from camviz.types import Model

Extract = Callable[..., list[list[FeatureMaps]]]


@dataclass(frozen=True)
class References:
    """By layer: the queries of --like in the order typed, and the maps of the image of --correspond."""

    queries: dict[str, list[Query]] = field(default_factory=dict)
    others: dict[str, FeatureMaps] = field(default_factory=dict)


def references_of(job: FeatureRequest, model: Model, extract: Extract) -> References:
    """Return the references of a run; each of their images goes through the model once.

    Raises `RequestError` for an image that cannot be read and for a point outside what the model sees.
    """
    known: dict[str, Sequence[FeatureMaps]] = {}

    def maps_of(path: str, option: str) -> Sequence[FeatureMaps]:
        if path not in known:
            try:
                ready = read_input(model, Input(Path(path), path), job.fit)
            except InputError as error:
                raise RequestError(f"{option}: {error.message}", error.hint) from error
            [known[path]] = extract([ready.image], [ready.values], [ready.view])
        return known[path]

    queries: dict[str, list[Query]] = {}
    for text in job.like:
        point = Point.parse(text)
        for maps in maps_of(point.path, "--like"):
            queries.setdefault(maps.layer, []).append(query_at(maps, point))
    others = maps_of(job.correspond, "--correspond") if job.correspond else ()
    return References(queries, {maps.layer: maps for maps in others})
