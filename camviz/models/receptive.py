"""Theoretical receptive fields of all layers, and where the cells of a layer lie in the input."""

from __future__ import annotations

from torch import nn

from camviz.models.receptive_field import Field
from camviz.models.survey import survey


def receptive_fields(
    module: nn.Module, input_size: tuple[int, int], name: str = "the model"
) -> dict[str, Field | None]:
    """Return the theoretical receptive field of every layer that ran, by path; None where an operation is unknown.

    Runs the model on the meta device (shapes only) where it allows that.
    """
    return survey(module, input_size, name).fields


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
