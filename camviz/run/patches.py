"""Many images through a model to the patches that excite its channels most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from camviz.engine.batches import by_shape
from camviz.errors import InputError, RequestError
from camviz.feature_maps.channels import parse_channels
from camviz.feature_maps.extract import Extractor
from camviz.feature_maps.maps import check_finite
from camviz.feature_maps.receptive import effective_field, receptive_fields
from camviz.feature_maps.visualization.patches import Best, Look, Patch
from camviz.hooks.devices import default_batch_size
from camviz.io.images import read_image
from camviz.io.inputs import Failed, Input
from camviz.models.layers import channels_of
from camviz.render.bar import number
from camviz.render.encoding import suffix
from camviz.render.patches import Row, patch_sheet, tile
from camviz.run.outcome import Outcome
from camviz.run.output.layer_figures import write_layer_figure
from camviz.run.output.written import Written
from camviz.run.reading import Ready, read_inputs
from camviz.types import Figure, Layer, Pixels

ROWS = 12  # channels drawn when nobody said which
_MOST = 200  # rows that one figure holds


@dataclass(frozen=True)
class PatchJob:
    """Which channels, and how many patches of each."""

    channels: tuple[str, ...] = ()
    rank: Literal["energy", "peak"] = "energy"
    top: int = 8
    fit: str = "model"
    format: str = "png"
    batch_size: int = 0

    def chosen(self, layer: Layer) -> list[int]:
        """The channels asked for, checked; none when the ranking is to choose."""
        if not self.channels:
            return []
        chosen = parse_channels(self.channels, channels_of(layer), layer.path)
        if len(chosen) > _MOST:
            raise RequestError(f"{len(chosen)} channels are more than one figure holds", f"at most {_MOST} at a time")
        return chosen


def write_patches(
    job: PatchJob,
    extractor: Extractor,
    inputs: Iterable[Input],
    folder: Path,
    outcome: Outcome,
    failed: Failed,
    tick: Callable[[int], None] = lambda _: None,
) -> Iterator[Written]:
    """One figure per layer, when all images have gone through the model once; `tick` hears how many have."""
    layers = extractor.ask.layers
    best: dict[str, Best[Input]] = {one.path: Best(channels_of(one), job.top) for one in layers}
    looks: dict[str, Look] = {}
    size = job.batch_size or default_batch_size(extractor.model.device)
    ready = read_inputs(extractor.model, inputs, job.fit, failed)
    for group in by_shape(ready, size, key=lambda one: one.values.shape):
        try:
            looks = looks or {one.path: _look(extractor, one, group) for one in layers}
            _add(extractor, group, best, outcome, failed)
        except InputError as error:  # an input size the model does not take
            for one in group:
                failed(one.source.name, error)
        tick(outcome.done)
    for layer in layers if outcome.done else ():
        figure = _draw(job, extractor, layer, best[layer.path], looks[layer.path], failed)
        yield write_layer_figure(figure, folder, extractor.model.name, layer.path, job.format)


def _look(extractor: Extractor, layer: Layer, group: list[Ready]) -> Look:
    """How large the patches of a layer are; the effective field is measured on the first images."""
    model, (height, width) = extractor.model, group[0].values.shape[1:]
    fields = receptive_fields(model.module, model.preprocessing.crop, model.name)
    known = Look.of(fields[layer.path], (height, width))
    if known:
        return known
    try:
        return Look(side=effective_field(model, layer, [one.values[None] for one in group]).side)
    except RequestError:  # no gradient anywhere
        return Look()


def _add(
    extractor: Extractor, group: list[Ready], best: dict[str, Best[Input]], outcome: Outcome, failed: Failed
) -> None:
    found = extractor([one.image for one in group], [one.values for one in group], [one.view for one in group])
    for ready, layers in zip(group, found, strict=True):
        bad = check_finite(layers)
        if bad:
            failed(ready.source.name, InputError(f"'{ready.source.path}': {bad}", "leave it out, or --precision fp32"))
            continue
        for maps in layers:
            best[maps.layer].add(ready.source, maps.view, maps.values)
        outcome.done += 1


def _draw(job: PatchJob, extractor: Extractor, layer: Layer, best: Best[Input], look: Look, failed: Failed) -> Figure:
    asked = job.chosen(layer)
    chosen = asked or best.order(job.rank)[:ROWS]
    patches = {channel: best.patches(channel, look) for channel in chosen}
    tiles = _cut([patch for found in patches.values() for patch in found], failed)
    rows = []
    for channel, found in patches.items():
        label = f"channel {channel}" + ("" if found else ": zero everywhere")
        rows.append(Row(label, [(tiles.get((p.source.path, p.box)), number(p.activation)) for p in found]))
    model = extractor.model
    images = f"{best.images} image{'s' * (best.images != 1)}"
    facts = [
        f"of {images} one patch each, the strongest first, its activation below",
        "channels asked for" if asked else f"{len(chosen)} of {best.channels} channels by {job.rank}",
        look.words(model.preprocessing.crop),
        "" if chosen else "the layer is zero in every image: nothing to draw",
    ]
    figure = patch_sheet(rows, min(job.top, best.images), f"{layer.path} · {model.name}", facts)
    told = {
        "images": best.images,
        "field": look.facts(),
        "rank": None if asked else job.rank,
        "channels": [_told(channel, best, found) for channel, found in patches.items()],
    }
    return Figure("patches", suffix(job.format), figure, facts=told)


def _told(channel: int, best: Best[Input], patches: Sequence[Patch[Input]]) -> dict[str, Any]:
    shown = [{"input": str(p.source.path), "box": list(p.box), "activation": p.activation} for p in patches]
    return {"channel": channel, "energy": float(best.energy[channel] / best.images), "patches": shown}


def _cut(patches: Sequence[Patch[Input]], failed: Failed) -> dict[tuple[Path, tuple[int, int, int, int]], Pixels]:
    """The patches as tiles, each image decoded once more; by path and box."""
    boxes: dict[Path, dict[tuple[int, int, int, int], float]] = {}
    names: dict[Path, str] = {}
    for patch in patches:
        boxes.setdefault(patch.source.path, {})[patch.box] = patch.side
        names[patch.source.path] = patch.source.name
    found = {}
    for path, wanted in boxes.items():
        try:
            pixels = read_image(path).pixels
        except InputError as error:  # it was there a moment ago
            failed(names[path], error)
            continue
        for box, side in wanted.items():
            left, top, right, bottom = box
            found[path, box] = tile(pixels[top:bottom, left:right], side)
    return found
