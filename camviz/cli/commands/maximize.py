"""`camviz maximize`: activation maximization for channels and classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from camviz.cli.console import Console
from camviz.cli.options import ComputeOptions, Layers, ModelWithoutImagesOptions, OutputOptions, several
from camviz.cli.registry import command
from camviz.cli.session import Session
from camviz.errors import InputError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from camviz.feature_maps.visualization.maximize import Maximized
    from camviz.run.output.written import Written
    from camviz.types import Image, Model

Channel = Annotated[
    list[str] | None,
    typer.Option("--channel", metavar="CHANNELS", help="Channels of the layer: 3,17,40-60.", show_default=False),
]
Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        help="Class name or index, instead of a channel; with --from also top1, top3. Repeatable.",
        show_default=False,
    ),
]
Unit = Annotated[bool, typer.Option("--unit", help="Maximize the center of the feature map instead of its mean.")]
Start = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Start from this image instead of noise.", show_default=False),
]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Optimization steps.")]
Size = Annotated[
    int, typer.Option("--size", min=0, help="Side length of the result in pixels; 0: the model's input size.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the initial noise and of the random shifts.")]


@command(
    section="Look inside",
    order=4,
    examples=(
        "camviz maximize --layer features.3 --channel 0-3",
        "camviz maximize -t star -t heart",
        "camviz maximize -m resnet50 -t zebra --from photo.jpg",
    ),
)
def maximize(
    console: Console,
    model: ModelWithoutImagesOptions,
    compute: ComputeOptions,
    out: OutputOptions,
    layer: Layers = None,
    channel: Channel = None,
    target: Classes = None,
    unit: Unit = False,
    start: Start = None,
    steps: Steps = 256,
    size: Size = 0,
    seed: Seed = 0,
) -> int:
    """Optimize images that maximize channels or classes."""
    _check(layer, channel, target, unit)
    image = _image(start) if start else None
    session = Session([model.request()], compute.device, None, out, console)
    if target and session.plans[0].labels:
        from camviz.tasks.classification import parse_targets

        parse_targets(target, session.plans[0].labels, session.plans[0].name)

    how: dict[str, Any] = {"steps": steps, "size": size, "seed": seed, "start": image, "tick": session.bar.scored}
    how |= {"batch_size": compute.batch_size, "precision": compute.precision}
    loaded = session.load()
    found = _classes(loaded, target, how) if target else _channels(loaded, layer, channel or [], unit, how)
    return session.report(_write(session, loaded, found, image))


def _check(layer: list[str] | None, channel: list[str] | None, target: list[str] | None, unit: bool) -> None:
    if target and (layer or channel or unit):
        given = "--channel" if channel else "--layer" if layer else "--unit"
        raise RequestError(f"--target '{target[0]}' and {given} exclude each other", f"only --target '{target[0]}'")
    if not target and not channel:
        raise RequestError("neither --channel nor --target was given", "--channel 0-7, or --target with a class")
    if channel:
        from camviz.feature_maps.channels import read_channels

        read_channels(channel)


def _image(path: Path) -> Image:
    from camviz.io.images import read_image

    try:
        return read_image(path)
    except InputError as error:  # here it is no image among others, but the request
        raise RequestError(f"--from: {error.message}", error.hint) from error


def _classes(model: Model, targets: list[str], how: dict[str, Any]) -> Iterator[Maximized]:
    from camviz.feature_maps.visualization.maximize import check_classes, maximize_classes

    check_classes(targets, model.labels, model.name, how["start"] is not None)
    yield maximize_classes(model, targets, **how)


def _channels(
    model: Model, patterns: list[str] | None, texts: list[str], unit: bool, how: dict[str, Any]
) -> Iterator[Maximized]:
    from camviz.feature_maps.channels import parse_channels
    from camviz.feature_maps.visualization.maximize import maximize
    from camviz.models.layers import channels_of, find_layers

    layers = find_layers(model, several(patterns))
    asked = [(layer.path, parse_channels(texts, channels_of(layer), layer.path)) for layer in layers]
    for path, channels in asked:
        yield maximize(model, path, channels, unit=unit, **how)


def _write(session: Session, model: Model, found: Iterator[Maximized], start: Image | None) -> Iterator[Written]:
    from camviz.io.inputs import without_suffix
    from camviz.run.output.files import prepare_folder
    from camviz.run.output.layer_figures import write_layer_figure

    for maximized in found:
        prepare_folder(session.folder)
        session.outcome.done += len(maximized.names)
        facts = {**maximized.facts(), "from": str(start.path) if start else None}
        stuck = [shown["name"] for shown in facts["images"] if shown["after"] <= shown["before"]]
        if stuck:
            facts["note"] = f"no step raised {', '.join(stuck)}; --from IMAGE starts where the score has a gradient"
        figure = replace(maximized.figure(), facts=facts)
        where = (maximized.layer or "classes") + (f"_from_{without_suffix(start.name)}" if start else "")
        yield write_layer_figure(figure, session.folder, model.name, where)
