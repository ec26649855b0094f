"""Trace receptive fields through a forward pass, with one rule per torch function.

Every torch function call is intercepted, so operations outside modules (a residual sum, a concatenation) count too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from camviz.models import attention_windows
from camviz.models.attention_windows import Placed
from camviz.models.receptive_field import ATTENDED, GATE, Field, Pair, union

_ELSEWHERE = frozenset({"roll", "flip", "cumsum", "cumprod", "sort", "gather", "index_select", "rot90", "grid_sample"})
_FRESH = ("new_", "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like")  # no values kept
_PRODUCTS = frozenset({"matmul", "bmm", "einsum"})
_STATISTICS = frozenset({"group_norm", "instance_norm"})


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a torch function, with one of its output tensors."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Tensor
    shapes: Sequence[tuple[int, ...]]  # of the argument tensors that depend on the input
    fields: list[Field]  # of the same tensors

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", "")).strip("_")

    def argument(self, name: str, position: int, default: Any = None) -> Any:
        """Return an argument by name or position."""
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[position] if len(self.args) > position else default


Rule = Callable[[Call, Field], Field | None]
_RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def add(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return add


class Follower(TorchFunctionMode):
    """Record the field of every tensor that depends on the input passed to `start`, while entered."""

    def __init__(self) -> None:
        super().__init__()
        self._fields: dict[int, Field | Placed | None] = {}
        self._kept: list[Tensor] = []  # keeps tensors alive, so that their ids stay unique

    def start(self, inputs: Tensor) -> None:
        """Register the model's input (n, c, H, W), where each pixel sees itself."""
        self._note(inputs, Field())

    def field(self, tensor: Tensor | None) -> Field | None:
        """Return the receptive field of the units of a tensor, None if it is unknown."""
        state = self._fields.get(id(tensor))
        return state if isinstance(state, Field) else None

    def _note(self, tensor: Tensor, field: Field | Placed | None) -> None:
        self._kept.append(tensor)
        self._fields[id(tensor)] = field

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = [tensor for tensor in _tensors([args, kwargs]) if id(tensor) in self._fields]
        fields = [self._fields[id(tensor)] for tensor in inputs]
        shapes = [tuple(tensor.shape) for tensor in inputs]  # read before the call, which may be in place
        result = func(*args, **kwargs)
        if not inputs or str(getattr(func, "__name__", "")).startswith(_FRESH):
            return result
        grids = [state for state in fields if isinstance(state, Field)]
        rearranged = [state for state in fields if isinstance(state, Placed)]
        with torch._C.DisableTorchFunction():
            for number, output in enumerate(_tensors(result)):
                call = Call(func, args, kwargs, output, shapes, grids)
                state: Field | Placed | None = None
                if len(grids) == len(fields):
                    state = _after(call)
                elif len(rearranged) == len(fields) and not _unknown(call):
                    state = attention_windows.after(call, rearranged, number)
                self._note(output, state)
        return result


def _tensors(value: Any) -> list[Tensor]:
    """Return all tensors in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for part in value for tensor in _tensors(part)]
    return []


def _after(call: Call) -> Field | Placed | None:
    """Return the receptive field of the units of a call's output."""
    if call.name in _PRODUCTS and len(call.fields) > 1 and all(len(field.axes) == 1 for field in call.fields):
        return ATTENDED  # a product of tokens with tokens
    field = union(call.fields)
    if field is None or field.whole:
        return field
    state = _RULES[call.name](call, field) if call.name in _RULES else _elementwise(call, field)
    if state is None and call.name in attention_windows.ENTERS and len(field.axes) == 2 and len(call.fields) == 1:
        return attention_windows.after(call, [Placed.of(field, call.shapes[0])], 0)
    return state


def _unknown(call: Call) -> bool:
    """Return whether an operation may mix rearranged cells in a way that is not followed."""
    known = attention_windows.FOLLOWED
    return call.name not in known and (
        call.name in _RULES or call.name in _ELSEWHERE or call.name in _STATISTICS or call.name.startswith("conv")
    )


def _elementwise(call: Call, field: Field) -> Field | None:
    """Treat an unknown operation as elementwise if it keeps the position and the size of the grid."""
    if call.name in _ELSEWHERE:
        return None
    if call.name in ("softmax", "log_softmax") and int(call.argument("dim", 1, -1)) % call.output.ndim in field.axes:
        return None
    for shape, each in zip(call.shapes, call.fields, strict=True):
        if each.whole:
            continue
        if len(shape) != call.output.ndim or any(shape[axis] != call.output.shape[axis] for axis in field.axes):
            return None
    return replace(field, gated=True) if call.name in _STATISTICS else field


def _pair(value: Any) -> Pair:
    if isinstance(value, (tuple, list)):
        return float(value[0]), float(value[-1])
    return float(value), float(value)


def _plain(call: Call, field: Field) -> bool:
    """Return whether the grid is the last two axes of the first argument."""
    return field.axes == (call.args[0].ndim - 2, call.args[0].ndim - 1)


@_rule("conv2d")
def _convolution(call: Call, field: Field) -> Field | None:
    if not _plain(call, field):
        return None
    kernel = _pair(tuple(call.argument("weight", 1).shape[2:]))
    dilation = _pair(call.argument("dilation", 5, 1))
    padding = call.argument("padding", 4, 0)
    if padding == "same":  # an odd total is padded at the end
        padding = [math.floor(d * (k - 1) / 2) for k, d in zip(kernel, dilation, strict=True)]
    return field.slide(
        kernel, _pair(call.argument("stride", 3, 1)), _pair(padding if padding != "valid" else 0), dilation
    )


@_rule("max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "lp_pool2d")
def _pool(call: Call, field: Field) -> Field | None:
    if not _plain(call, field):
        return None
    first = 2 if call.name == "lp_pool2d" else 1  # its first argument is the norm
    kernel = call.argument("kernel_size", first)
    stride = call.argument("stride", first + 1)
    padding = 0 if call.name == "lp_pool2d" else call.argument("padding", 3, 0)
    dilation = call.argument("dilation", 4, 1) if call.name.startswith("max") else 1
    return field.slide(_pair(kernel), _pair(stride or kernel), _pair(padding), _pair(dilation))


@_rule("adaptive_avg_pool2d", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices")
def _adaptive(call: Call, field: Field) -> Field | None:
    if not _plain(call, field):
        return None
    cells, pooled = call.args[0].shape[-2:], call.output.shape[-2:]
    if tuple(pooled) == (1, 1):
        return GATE
    if any(before % after for before, after in zip(cells, pooled, strict=True)):
        return None  # windows of different sizes
    window = _pair([before // after for before, after in zip(cells, pooled, strict=True)])
    return field.slide(window, window, (0, 0))


@_rule("pad")
def _pad(call: Call, field: Field) -> Field | None:
    """Read the padding, listed from the last axis backwards; padded channels do not move the grid."""
    sides, last = [*call.argument("pad", 1), *[0] * 8], call.args[0].ndim - 1
    if len(field.axes) != 2:
        return None
    before = [float(sides[2 * (last - axis)]) for axis in field.axes]
    return field.slide((1, 1), (1, 1), (before[0], before[1]))


@_rule("getitem")
def _slicing(call: Call, field: Field) -> Field | None:
    """Follow slices of the grid, such as every second cell, and integers on other axes."""
    [tensor, index] = call.args[:2]
    index = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(item, (slice, int)) or item is Ellipsis for item in index):
        return _elementwise(call, field)
    ellipsis = index.index(Ellipsis) if Ellipsis in index else len(index)
    after = index[ellipsis + 1 :]
    slices = [*index[:ellipsis], *[slice(None)] * (tensor.ndim - ellipsis - len(after)), *after]
    dropped = [axis for axis, item in enumerate(slices) if isinstance(item, int)]
    if set(dropped).intersection(field.axes):
        return None
    cuts = [slices[axis].indices(tensor.shape[axis]) for axis in field.axes]
    field = replace(field, axes=tuple(axis - sum(other < axis for other in dropped) for axis in field.axes))
    if len(cuts) == 1:  # tokens, such as all but the class token
        return field
    return field.slide((1, 1), (cuts[0][2], cuts[1][2]), (-cuts[0][0], -cuts[1][0]))


@_rule("mean", "sum", "amax", "amin", "std", "var", "norm")
def _reduction(call: Call, field: Field) -> Field | None:
    """Reduce over the grid (each value then sees the whole input) or over channels (the grid's axes move up)."""
    dims = call.argument("dim", 2 if call.name == "norm" else 1)
    tensor = call.args[0]
    over = range(tensor.ndim) if dims is None else [dims] if isinstance(dims, int) else dims
    reduced = {int(dim) % tensor.ndim for dim in over}
    if reduced.issuperset(field.axes):
        return GATE
    if reduced.intersection(field.axes):
        return None
    if call.output.ndim == tensor.ndim:
        return field
    return replace(field, axes=tuple(axis - sum(dim < axis for dim in reduced) for axis in field.axes))


@_rule("permute", "transpose", "swapaxes", "movedim")
def _permutation(call: Call, field: Field) -> Field | None:
    stand_in = torch.empty([2 + axis for axis in range(call.args[0].ndim)], device="meta")
    moved = tuple(call.function(stand_in, *call.args[1:], **call.kwargs).shape)  # each axis has a unique size
    return replace(field, axes=tuple(moved.index(2 + axis) for axis in field.axes))


@_rule("reshape", "view", "flatten", "unflatten")
def _reshaping(call: Call, field: Field) -> Field | None:
    """Find the grid by the number of values before it, which a reshape keeps; its two axes may be merged."""
    [shape], new = call.shapes, tuple(call.output.shape)
    if new == shape:
        return field
    first = field.axes[0]
    if field.axes != tuple(range(first, first + len(field.axes))):
        return None
    before, cells = math.prod(shape[:first]), tuple(shape[axis] for axis in field.axes)
    for axis in range(len(new)):
        if math.prod(new[:axis]) == before:
            if new[axis : axis + len(cells)] == cells:
                return replace(field, axes=tuple(range(axis, axis + len(cells))))
            if new[axis] == math.prod(cells):
                return replace(field, axes=(axis,))
    return GATE if len(new) <= 2 else None  # flattened for a linear layer, which mixes all values


@_rule("linear", "layer_norm")
def _last_axis(call: Call, field: Field) -> Field | None:
    """Mix values along the last axis."""
    if call.output.ndim - 1 not in field.axes:
        return field
    return ATTENDED if len(field.axes) == 1 and call.name == "linear" else None


@_rule("cat", "concat", "concatenate")
def _joining(call: Call, field: Field) -> Field | None:
    """Concatenate along the grid only with tensors that do not depend on the input, such as a class token."""
    if int(call.argument("dim", 1, 0)) % call.output.ndim not in field.axes:
        return _elementwise(call, field)
    return field if len(call.fields) == 1 and len(field.axes) == 1 else None


@_rule("multi_head_attention_forward", "native_multi_head_attention", "scaled_dot_product_attention", "matmul", "bmm")
def _attention(call: Call, field: Field) -> Field | None:
    """Let every token see all others; windows of a grid are followed in attention_windows."""
    return ATTENDED if len(call.fields) > 1 and len(field.axes) == 1 else None
