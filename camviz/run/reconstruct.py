"""Run images through feature inversion: one figure per image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from camviz.feature_maps.visualization.inversion import Inversion, Inverter, Reconstruction, choose_layers
from camviz.io.inputs import Input
from camviz.models.extra_inputs import batch_size, inputs_of
from camviz.run.context import RunContext
from camviz.run.database.records import Record
from camviz.run.flow import Stages
from camviz.run.job import Load, Task, Tick
from camviz.run.output.written import write_figure
from camviz.run.reading import Ready, read_input, shape_of
from camviz.types import Request

if TYPE_CHECKING:
    from camviz.run.settings import ReconstructSettings


def reconstruct_task(settings: ReconstructSettings, load: Load, tick: Tick) -> Task:
    """Return the task of rebuilding images from the layers of a model."""
    request, model = settings.request, load(0)
    how = Inversion(settings.steps, settings.tv, request.seed, request.precision, tick)
    inverter = Inverter(model, choose_layers(model, request.layers), how)
    layers = [] if request.layers else [layer.path for layer in inverter.layers]
    return Task(partial(reconstructions, request, inverter), layers=layers, model=model.name)


def reconstructions(
    request: Request, inverter: Inverter, inputs: Iterable[Input], context: RunContext
) -> Iterator[Record]:
    """Yield each image's record as soon as its figure is written."""
    model = inverter.model

    def compute(group: list[Ready]) -> list[Reconstruction]:
        with inputs_of(model, [ready.image for ready in group], request.fit):
            return inverter([ready.values for ready in group])

    def write(source: Input, _ready: Ready, rebuilt: Reconstruction) -> Record:
        facts = {"input": str(source.path), **rebuilt.facts()}
        figure = rebuilt.figure()
        return Record(
            source,
            written=(write_figure(figure, context.folder, source.stem, ("reconstruct",), facts, None, context.write),),
        )

    # on a CPU a batch is no faster than its images, and the first figure comes later
    batch = batch_size(model, request.batch_size, 1 if model.device == "cpu" else 0)
    read = partial(read_input, model, fit=request.fit)
    return context.flow(inputs, Stages(read, shape_of, [compute], write, pad=False), batch)
