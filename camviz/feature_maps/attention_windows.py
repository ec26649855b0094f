"""Where the cells of a grid go while attention looks at windows of it, and how far it lets each of them see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from camviz.feature_maps.receptive_field import Field

_SHAPES = frozenset({"view", "reshape", "flatten", "unflatten"})
_MOVES = frozenset({"permute", "transpose", "swapaxes", "movedim", "getitem", "chunk", "split", "unbind"})
_PRODUCTS = frozenset({"matmul", "bmm", "einsum", "scaled_dot_product_attention"})
_ALONG = frozenset({"softmax", "log_softmax"})  # they mix along an axis
FOLLOWED = _SHAPES | _MOVES | _PRODUCTS | _ALONG | {"roll", "linear", "layer_norm"}
ENTERS = _SHAPES | {"roll"}  # what takes a grid apart


@dataclass(frozen=True, eq=False)
class Placed:
    """A tensor whose cells are those of a grid, but elsewhere: the row and the column (float) of every value.

    Cells that a roll carries around the edge are counted on beyond it: attention is masked there, as Swin does it, so
    that they see each other but not what is on the other side. `reach`: the rows and columns that a cell sees, at most,
    on each side of it, since the grid was taken apart.
    """

    field: Field
    rows: Tensor
    columns: Tensor
    cells: tuple[int, int]
    reach: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, field: Field, shape: tuple[int, ...]) -> Placed:
        """A grid in its place."""
        cells = shape[field.axes[0]], shape[field.axes[1]]
        return cls(field, *_in_place(cells, field.axes, shape), cells)

    def gathered(self) -> Field | Placed:
        """The grid's field, once every cell is back in its place."""
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
    found = []
    for count, axis in zip(cells, axes, strict=True):
        line = [1] * len(shape)
        line[axis] = count
        found.append(torch.arange(float(count)).view(line).expand(shape))
    return found[0], found[1]


def after(call: Any, given: list[Placed], place: int) -> Field | Placed | None:
    """What the `place`-th tensor made by a call is, when all that it was given is placed; None: not followed."""
    first, name, shape = given[0], call.name, tuple(call.made.shape)
    if any(one.cells != first.cells or one.field != first.field for one in given):
        return None
    reach = tuple(max(one.reach[k] for one in given) for k in (0, 1))
    first = replace(first, reach=(reach[0], reach[1]))
    if name in _PRODUCTS:
        return _product(call, first, given, shape)
    if len(given) > 1 and any(not _alike(first, one) for one in given[1:]):
        return None
    if name in _SHAPES:
        return replace(first, rows=first.rows.reshape(shape), columns=first.columns.reshape(shape)).gathered()
    if name in _MOVES:
        moved = [call.function(one, *call.args[1:], **call.kwargs) for one in (first.rows, first.columns)]
        rows, columns = moved if isinstance(moved[0], Tensor) else (moved[0][place], moved[1][place])
        return replace(first, rows=rows, columns=columns).gathered()
    if name == "roll":
        rows, columns = (_rolled(one, call) for one in (first.rows, first.columns))
        return replace(first, rows=rows, columns=columns).gathered()
    if name in ("linear", "layer_norm"):
        return _spread(first, shape) if shape[:-1] == tuple(first.rows.shape[:-1]) else None
    if name in _ALONG:
        return first if _constant(first, int(call.argument("dim", 1, -1))) else None
    return first if shape == tuple(first.rows.shape) else None


def _alike(one: Placed, other: Placed) -> bool:
    return torch.equal(one.rows, other.rows) and torch.equal(one.columns, other.columns)


def _constant(one: Placed, axis: int) -> bool:
    """Whether all values along an axis are of the same cell."""
    return all(bool((where == where.narrow(axis, 0, 1)).all()) for where in (one.rows, one.columns))


def _spread(one: Placed, shape: tuple[int, ...]) -> Placed | None:
    """As many values of each cell along the last axis as there are now."""
    if not _constant(one, -1):
        return None
    return replace(one, rows=one.rows[..., :1].expand(shape), columns=one.columns[..., :1].expand(shape))


def _rolled(where: Tensor, call: Any) -> Tensor:
    shifts, dims = call.argument("shifts", 1), call.argument("dims", 2)
    shifts, dims = ((one,) if isinstance(one, int) else tuple(one) for one in (shifts, dims))
    for shift, dim in zip(shifts, dims, strict=True):
        size = where.shape[dim]
        line = [1] * where.ndim
        line[dim] = size
        source = torch.arange(size) - shift
        around = (source // size).view(line)  # how often a cell went around the edge
        varies = bool((where != where.narrow(dim, 0, 1)).any())
        where = torch.roll(where, shift, dim) + (around * size if varies else 0)
    return where


def _product(call: Any, first: Placed, given: list[Placed], shape: tuple[int, ...]) -> Placed | None:
    """Cells whose vectors are multiplied see each other; what comes out belongs to the cells of the first factor."""
    if len(given) < 2:
        return None
    if call.name == "einsum":
        letters = _letters(call)
        if letters is None:
            return None
        batch = [letter for letter in letters[2] if all(letter in own for own in letters[:2])]
        order = [[own.index(x) for x in (*batch, *(y for y in own if y not in batch))] for own in letters[:2]]
        sides = [(one.rows.permute(o), one.columns.permute(o)) for one, o in zip(given, order, strict=True)]
        kept = [letter for letter in letters[0] if letter in letters[2]]
        if letters[2][: len(kept)] != "".join(kept) or letters[0][: len(kept)] != "".join(kept):
            return None
        leading, own = len(batch), len(kept)
    else:
        sides = [(one.rows, one.columns) for one in given]
        leading, own = first.rows.ndim - 2, first.rows.ndim - 1
        if any(one.rows.shape[:leading] != first.rows.shape[:leading] for one in given):
            return None
    if not all(_constant(first, axis) for axis in range(own, first.rows.ndim)):
        return None
    spans = []
    for k in (0, 1):
        together = torch.cat([side[k].flatten(leading) for side in sides], -1)
        spans.append(int((together.amax(-1) - together.amin(-1)).max()))
    index = (slice(None),) * own + (slice(0, 1),)
    rows, columns = (one.flatten(own)[index].expand(shape) for one in (first.rows, first.columns))
    return replace(
        first, rows=rows, columns=columns, reach=(max(first.reach[0], spans[0]), max(first.reach[1], spans[1]))
    )


def _letters(call: Any) -> tuple[str, str, str] | None:
    """The axes of two factors and of their product."""
    text = str(call.args[0]).replace(" ", "")
    inputs, arrow, output = text.partition("->")
    factors = inputs.split(",")
    return (factors[0], factors[1], output) if arrow and len(factors) == 2 and "." not in text else None
