"""`camviz reconstruct`: feature inversion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from camviz.cli.console import Console
from camviz.cli.options import LAYER, ComputeOptions, Fit, Images, ModelOptions, OutputOptions, several
from camviz.cli.registry import command
from camviz.cli.session import Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from camviz.feature_maps.visualization.inversion import Inverter
    from camviz.run.output.written import Written

Layer = Annotated[
    list[str] | None,
    typer.Option("--layer", "-l", help=f"{LAYER} Default: the last layer of each resolution.", show_default=False),
]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Optimization steps per layer.")]
Variation = Annotated[float, typer.Option("--tv", min=0, help="Weight of the total variation; higher is smoother.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the initial noise.")]


@command(
    section="Look inside",
    order=5,
    examples=(
        "camviz reconstruct photo.jpg",
        "camviz reconstruct photo.jpg -m resnet50 --layer layer2,layer4",
    ),
)
def reconstruct(
    console: Console,
    model: ModelOptions,
    compute: ComputeOptions,
    out: OutputOptions,
    images: Images = None,
    layer: Layer = None,
    fit: Fit = "model",
    steps: Steps = 256,
    tv: Variation = 2.0,
    seed: Seed = 0,
) -> int:
    """Find images with the same features as yours at each layer.

    Feature inversion: shows which information a layer keeps.
    """
    work = Work(model.request(images=bool(images)), compute.device, images, out, console)

    from camviz.feature_maps.visualization.inversion import (  # from here on torch is imported
        Inversion,
        Inverter,
        choose_layers,
    )

    loaded = work.load()
    how = Inversion(steps, tv, seed, compute.precision, work.bar.scored)
    inverter = Inverter(loaded, choose_layers(loaded, several(layer)), how)
    if not layer:
        console.layers([one.path for one in inverter.layers], loaded.name)
    return work.tell(_write(work, inverter, fit, compute.batch_size))


def _write(work: Work, inverter: Inverter, fit: str, batch_size: int) -> Iterator[Written]:
    """One figure per image. An image that fails is told, and the others go on."""
    from camviz.engine.batches import by_shape
    from camviz.errors import InputError
    from camviz.hooks.devices import default_batch_size
    from camviz.run.output.written import write_figure
    from camviz.run.reading import read_inputs
    from camviz.types import Figure

    model = inverter.model
    # on a CPU a batch is no faster than its images, and the first figure comes later
    size = batch_size or (1 if model.device == "cpu" else default_batch_size(model.device))
    ready = read_inputs(model, work.inputs(), fit, work.failed)
    for group in by_shape(ready, size, key=lambda one: one.values.shape):
        try:
            found = inverter([one.values for one in group])
        except InputError as error:  # a size the model does not take
            for one in group:
                work.failed(one.source.name, error)
            continue
        for one, rebuilt in zip(group, found, strict=True):
            work.outcome.done += 1
            facts = {"input": str(one.source.path), **rebuilt.facts()}
            figure = Figure("reconstruction", ".png", rebuilt.figure())
            try:
                yield write_figure(figure, work.folder, one.source.name, (), facts)
            except InputError as error:
                work.failed(one.source.name, error)
