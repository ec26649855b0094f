"""Track the cells of a grid through window attention, and how far it lets each cell see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from camviz.models.receptive_field import Field

_SHAPES = frozenset({"view", "reshape", "flatten", "unflatten"})
_MOVES = frozenset({"permute", "transpose", "swapaxes", "movedim", "getitem", "chunk", "split", "unbind"})
_PRODUCTS = frozenset({"matmul", "bmm", "einsum", "scaled_dot_product_attention"})
_ALONG = frozenset({"softmax", "log_softmax"})  # functions that mix values along an axis
FOLLOWED = _SHAPES | _MOVES | _PRODUCTS | _ALONG | {"roll", "linear", "layer_norm"}
ENTERS = _SHAPES | {"roll"}  # functions that rearrange the cells of a grid


@dataclass(frozen=True, eq=False)
class Placed:
    """A tensor with rearranged cells of a grid: the row and the column (float) of every value.

    Cells that a roll moves across the edge keep counting beyond it: attention is masked there (as in Swin), so that
    they attend to each other but not across the edge. `reach` is the maximum number of rows and columns that a cell
    sees on each side since the grid was rearranged.
    """

    field: Field
    rows: Tensor
    columns: Tensor
    cells: tuple[int, int]
    reach: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, field: Field, shape: tuple[int, ...]) -> Placed:
        """Return a grid in its original arrangement."""
        cells = shape[field.axes[0]], shape[field.axes[1]]
        return cls(field, *_in_place(cells, field.axes, shape), cells)

    def gathered(self) -> Field | Placed:
        """Return the grid's field if every cell is back in its original place, else self."""
        shape = tuple(self.rows.shape)
        for axes in zip(range(len(shape) - 1), range(1, len(shape)), strict=True):
            if (shape[axes[0]], shape[axes[1]]) == self.cells:
                expected = _in_place(self.cells, axes, shape)
                if torch.equal(self.rows, expected[0]) and torch.equal(self.columns, expected[1]):
                    window = [float(2 * side + 1) for side in self.reach]
                    grown = self.field.slide((window[0], window[1]), (1, 1), self.reach)
                    return replace(grown, axes=axes, bound=grown.bound or any(self.reach))
        return self


def _in_place(cells: tuple[int, int], axes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    indices = []
    for count, axis in zip(cells, axes, strict=True):
        line = [1] * len(shape)
        line[axis] = count
        indices.append(torch.arange(float(count)).view(line).expand(shape))
    return indices[0], indices[1]


def after(call: Any, inputs: list[Placed], number: int) -> Field | Placed | None:
    """Return the state of the `number`-th output of a call with the inputs; None if the function is not followed."""
    first, name, shape = inputs[0], call.name, tuple(call.output.shape)
    if any(placed.cells != first.cells or placed.field != first.field for placed in inputs):
        return None
    reach = tuple(max(placed.reach[k] for placed in inputs) for k in (0, 1))
    first = replace(first, reach=(reach[0], reach[1]))
    if name in _PRODUCTS:
        return _product(call, first, inputs, shape)
    if len(inputs) > 1 and any(not _same_cells(first, placed) for placed in inputs[1:]):
        return None
    if name in _SHAPES:
        return replace(first, rows=first.rows.reshape(shape), columns=first.columns.reshape(shape)).gathered()
    if name in _MOVES:
        moved = [call.function(indices, *call.args[1:], **call.kwargs) for indices in (first.rows, first.columns)]
        rows, columns = moved if isinstance(moved[0], Tensor) else (moved[0][number], moved[1][number])
        return replace(first, rows=rows, columns=columns).gathered()
    if name == "roll":
        rows, columns = (_rolled(indices, call) for indices in (first.rows, first.columns))
        return replace(first, rows=rows, columns=columns).gathered()
    if name in ("linear", "layer_norm"):
        return _spread(first, shape) if shape[:-1] == tuple(first.rows.shape[:-1]) else None
    if name in _ALONG:
        return first if _constant(first, int(call.argument("dim", 1, -1))) else None
    return first if shape == tuple(first.rows.shape) else None


def _same_cells(first: Placed, second: Placed) -> bool:
    return torch.equal(first.rows, second.rows) and torch.equal(first.columns, second.columns)


def _constant(placed: Placed, axis: int) -> bool:
    """Return whether all values along an axis belong to the same cell."""
    return all(bool((index == index.narrow(axis, 0, 1)).all()) for index in (placed.rows, placed.columns))


def _spread(placed: Placed, shape: tuple[int, ...]) -> Placed | None:
    """Return the cells with the last axis resized to that of `shape`."""
    if not _constant(placed, -1):
        return None
    return replace(placed, rows=placed.rows[..., :1].expand(shape), columns=placed.columns[..., :1].expand(shape))


def _rolled(indices: Tensor, call: Any) -> Tensor:
    shifts, dims = call.argument("shifts", 1), call.argument("dims", 2)
    shifts, dims = ((value,) if isinstance(value, int) else tuple(value) for value in (shifts, dims))
    for shift, dim in zip(shifts, dims, strict=True):
        size = indices.shape[dim]
        line = [1] * indices.ndim
        line[dim] = size
        source = torch.arange(size) - shift
        wraps = (source // size).view(line)  # how often a cell crossed the edge
        varies = bool((indices != indices.narrow(dim, 0, 1)).any())
        indices = torch.roll(indices, shift, dim) + (wraps * size if varies else 0)
    return indices


def _product(call: Any, first: Placed, factors: list[Placed], shape: tuple[int, ...]) -> Placed | None:
    """Return the state of a product: cells whose vectors are multiplied see each other; cells of the first factor."""
    if len(factors) < 2:
        return None
    if call.name == "einsum":
        letters = _letters(call)
        if letters is None:
            return None
        batch = [letter for letter in letters[2] if all(letter in axes for axes in letters[:2])]
        order = [[axes.index(x) for x in (*batch, *(y for y in axes if y not in batch))] for axes in letters[:2]]
        sides = [(placed.rows.permute(o), placed.columns.permute(o)) for placed, o in zip(factors, order, strict=True)]
        kept = [letter for letter in letters[0] if letter in letters[2]]
        if letters[2][: len(kept)] != "".join(kept) or letters[0][: len(kept)] != "".join(kept):
            return None
        leading, cells = len(batch), len(kept)
    else:
        sides = [(placed.rows, placed.columns) for placed in factors]
        leading, cells = first.rows.ndim - 2, first.rows.ndim - 1
        if any(placed.rows.shape[:leading] != first.rows.shape[:leading] for placed in factors):
            return None
    if not all(_constant(first, axis) for axis in range(cells, first.rows.ndim)):
        return None
    spans = []
    for k in (0, 1):
        together = torch.cat([side[k].flatten(leading) for side in sides], -1)
        spans.append(int((together.amax(-1) - together.amin(-1)).max()))
    index = (slice(None),) * cells + (slice(0, 1),)
    rows, columns = (indices.flatten(cells)[index].expand(shape) for indices in (first.rows, first.columns))
    return replace(
        first, rows=rows, columns=columns, reach=(max(first.reach[0], spans[0]), max(first.reach[1], spans[1]))
    )


def _letters(call: Any) -> tuple[str, str, str] | None:
    """Return the einsum subscripts of two factors and of their product."""
    text = str(call.args[0]).replace(" ", "")
    inputs, arrow, output = text.partition("->")
    factors = inputs.split(",")
    return (factors[0], factors[1], output) if arrow and len(factors) == 2 and "." not in text else None
