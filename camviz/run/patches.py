"""Run many images through a model and draw the top-activating patches of its channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camviz.errors import InputError, RequestError
from camviz.feature_maps.channels import parse_channels
from camviz.feature_maps.extract import Extractor
from camviz.feature_maps.maps import FeatureMaps, check_finite
from camviz.feature_maps.receptive import effective_field
from camviz.feature_maps.visualization.patch_figures import patch_figure, patch_tile
from camviz.feature_maps.visualization.patches import Best, Look, Patch
from camviz.io.images import read_image
from camviz.io.inputs import Input
from camviz.models.extra_inputs import batch_size
from camviz.models.layers import channels_of, find_layers
from camviz.render.bar import number
from camviz.render.names import model_name
from camviz.run.context import RunContext
from camviz.run.database.records import Record
from camviz.run.flow import Stages
from camviz.run.job import Load, Task
from camviz.run.output.layer_figures import write_layer_figure
from camviz.run.output.written import Written
from camviz.run.reading import Ready, read_input, shape_of
from camviz.types import Figure, Layer, Pixels

if TYPE_CHECKING:
    from camviz.run.settings import PatchSettings

ROWS = 12  # channels drawn when nobody said which
_MOST = 200  # rows that one figure holds


def patch_task(settings: PatchSettings, load: Load) -> Task:
    """Return the task of drawing a figure per layer, with layers and channels checked."""
    request, model = settings.request, load(0)
    layers = find_layers(model, request.layers)
    for layer in layers:
        _channels(settings, layer)
    extractor = Extractor(model, layers, precision=request.precision, fit=request.fit)
    names = [] if request.layers else [layers[0].path]
    return Task(partial(patches, settings, extractor), layers=names, model=model.name)


def _channels(settings: PatchSettings, layer: Layer) -> list[int]:
    """Return the requested channels of a layer, checked; none where the ranking chooses."""
    if not settings.channels:
        return []
    channels = parse_channels(settings.channels, channels_of(layer), layer.path)
    if len(channels) > _MOST:
        raise RequestError(f"{len(channels)} channels are more than one figure holds", f"at most {_MOST} at a time")
    return channels


def patches(
    settings: PatchSettings, extractor: Extractor, inputs: Iterable[Input], context: RunContext
) -> Iterator[Record]:
    """Yield the records of all images when the figures are drawn; the first image's record has their files."""
    layers = extractor.ask.layers
    best: dict[str, Best[Input]] = {layer.path: Best(channels_of(layer), settings.top) for layer in layers}
    looks: dict[str, Look] = {}

    def compute(group: list[Ready]) -> list[InputError | None]:
        images, values, views = ([getattr(ready, name) for ready in group] for name in ("image", "values", "view"))
        all_maps = extractor(images, values, views)
        looks.update({} if looks else {layer.path: _look(extractor, layer, group) for layer in layers})
        return [_add(ready, maps, best) for ready, maps in zip(group, all_maps, strict=True)]

    stages = Stages(
        partial(read_input, extractor.model, fit=settings.request.fit),
        shape_of,
        [compute],
        lambda source, _ready, _added: Record(source),
        pad=False,
    )
    done: list[Record] = []
    batch = batch_size(extractor.model, settings.request.batch_size)
    for record in context.flow(inputs, stages, batch):
        if record.done:
            done.append(record)
            context.passed(len(done))
        else:
            yield record
    gone: dict[str, InputError] = {}
    files: list[Written] = []
    for layer in layers if done else ():
        figure = _draw(settings, extractor, layer, best[layer.path], looks[layer.path], gone)
        how = (extractor.model.name, layer.path, settings.format, context.write)
        files.append(write_layer_figure(figure, context.folder, *how))
    for record in done:
        yield replace(record, written=tuple(files), error=gone.get(record.source.name))
        files = []


def _look(extractor: Extractor, layer: Layer, group: list[Ready]) -> Look:
    """Return the size of a layer's patches; an effective field is measured on the first images."""
    model, (height, width) = extractor.model, group[0].values.shape[1:]
    fields = extractor.cells.fields_of(model.preprocessing.crop)
    known = Look.of(fields.get(layer.path), (height, width))
    if known:
        return known
    try:
        return Look(side=effective_field(model, layer, [maps.values[None] for maps in group]).side)
    except RequestError:  # no gradient anywhere
        return Look()


def _add(ready: Ready, layers: Sequence[FeatureMaps], best: Mapping[str, Best[Input]]) -> InputError | None:
    """Add the maps of an image; return the error where they are not finite."""
    note = check_finite(layers)
    if note:
        return InputError(f"'{ready.source.path}': {note}", "leave it out, or --precision fp32")
    for maps in layers:
        best[maps.layer].add(ready.source, maps.view, maps.values)
    return None


def _draw(
    job: PatchSettings,
    extractor: Extractor,
    layer: Layer,
    best: Best[Input],
    look: Look,
    gone: dict[str, InputError],
) -> Figure:
    asked = _channels(job, layer)
    chosen = asked or best.order(job.rank)[:ROWS]
    patches = {channel: best.patches(channel, look) for channel in chosen}
    tiles = _cut([patch for found in patches.values() for patch in found], gone)
    rows = []
    for channel, found in patches.items():
        label = f"channel {channel}" + ("" if found else ": zero everywhere")
        rows.append((label, [(tiles.get((p.source.path, p.box)), number(p.activation)) for p in found]))
    model = extractor.model
    images = f"{best.images} image{'s' * (best.images != 1)}"
    caption = [
        f"{layer.path} of {model_name(model.name)}",
        f"top-activating patches of {images}, with their activations",
        "" if asked else f"{len(chosen)} of {best.channels} channels by {job.rank}",
        look.words(model.preprocessing.crop),
        "" if chosen else "the layer is zero in every image",
    ]
    recorded = {
        "images": best.images,
        "field": look.facts(),
        "rank": None if asked else job.rank,
        "channels": [_told(channel, best, found) for channel, found in patches.items()],
    }
    return patch_figure(rows, min(job.top, best.images), caption, job.format, job.request.look.style, recorded)


def _told(channel: int, best: Best[Input], patches: Sequence[Patch[Input]]) -> dict[str, Any]:
    shown = [{"input": str(p.source.path), "box": list(p.box), "activation": p.activation} for p in patches]
    return {"channel": channel, "energy": float(best.energy[channel] / best.images), "patches": shown}


def _cut(
    patches: Sequence[Patch[Input]], gone: dict[str, InputError]
) -> dict[tuple[Path, tuple[int, int, int, int]], Pixels]:
    """Return the patches as tiles by path and box; decodes each image once more."""
    boxes: dict[Path, dict[tuple[int, int, int, int], float]] = {}
    names: dict[Path, str] = {}
    for patch in patches:
        boxes.setdefault(patch.source.path, {})[patch.box] = patch.side
        names[patch.source.path] = patch.source.name
    found = {}
    for path, wanted in boxes.items():
        try:
            pixels = read_image(path).pixels
        except InputError as error:  # removed since it was computed
            gone[names[path]] = error
            continue
        for box, side in wanted.items():
            left, top, right, bottom = box
            found[path, box] = patch_tile(pixels[top:bottom, left:right], side)
    return found
