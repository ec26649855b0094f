"""Theoretical receptive fields of all layers, and where the cells of a layer lie in the input."""

from __future__ import annotations

from typing import Any

from torch import nn

from camviz.hooks.capture import first_tensor, hooks, watch
from camviz.models.receptive_field import Field
from camviz.models.receptive_tracing import Follower
from camviz.models.survey import survey


def receptive_fields(
    module: nn.Module, input_size: tuple[int, int], name: str = "the model"
) -> dict[str, Field | None]:
    """Return the theoretical receptive field of every layer that ran, by path; None where an operation is unknown.

    Runs the model on the meta device (shapes only) where it allows that.
    """
    fields: dict[str, Field | None] = {}
    follower = Follower()

    def note(path: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        fields[path] = follower.field(first_tensor(output))

    def begin(_module: nn.Module, arguments: Any) -> None:
        inputs = first_tensor(arguments)
        if inputs is not None:
            follower.start(inputs)

    modules = {path: submodule for path, submodule in module.named_modules() if path}
    with hooks() as handles, watch(modules, note), follower:
        handles.append(module.register_forward_pre_hook(begin))
        survey(module, input_size, name)
    return fields


def cell_area(field: Field | None, grid: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the rectangle that a layer's cells tile, (left, top, right, bottom) in fractions of the input.

    `grid` and `size` are (height, width) of the layer's maps and of the input. It is the whole input where the cells
    tile it, less than a cell left over, and where the field is unknown. Otherwise (convolutions without padding, or
    padding in the forward) each cell is centered at its receptive field.
    """
    if field is None or field.whole:
        return 0.0, 0.0, 1.0, 1.0
    area = []
    for count, full, jump, center in zip(grid, size, field.jump, field.center, strict=True):
        tiles = abs(count * jump - full) < jump
        area.append((0.0, 1.0) if tiles else ((center - jump / 2) / full, (center + (count - 0.5) * jump) / full))
    (top, bottom), (left, right) = area
    return left, top, right, bottom
