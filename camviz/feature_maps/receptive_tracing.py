"""Following receptive fields through a forward: which operation does what to them.

Every call of torch's functions is seen, so paths that are not modules (a residual sum, a concatenation) count too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from camviz.feature_maps import attention_windows
from camviz.feature_maps.attention_windows import Placed
from camviz.feature_maps.receptive_field import ATTENDED, GATE, Field, Pair, union

_ELSEWHERE = frozenset({"roll", "flip", "cumsum", "cumprod", "sort", "gather", "index_select", "rot90", "grid_sample"})
_FRESH = ("new_", "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like")  # no values kept
_PRODUCTS = frozenset({"matmul", "bmm", "einsum"})
_STATISTICS = frozenset({"group_norm", "instance_norm"})


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a function of torch, and one tensor that it made."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    made: Tensor
    shapes: Sequence[tuple[int, ...]]  # of the tensors that depend on the input
    fields: list[Field]  # theirs

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", "")).strip("_")

    def argument(self, name: str, place: int, default: Any = None) -> Any:
        """An argument, by its name or its place."""
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[place] if len(self.args) > place else default


Rule = Callable[[Call, Field], Field | None]
_RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def add(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return add


class Follower(TorchFunctionMode):
    """While it is entered, it learns the field of every tensor that depends on the one it was started with."""

    def __init__(self) -> None:
        super().__init__()
        self._fields: dict[int, Field | Placed | None] = {}
        self._kept: list[Tensor] = []  # a tensor that lives keeps its id

    def start(self, inputs: Tensor) -> None:
        """The model's input (n, c, H, W): each pixel sees itself."""
        self._note(inputs, Field())

    def field(self, tensor: Tensor | None) -> Field | None:
        """What the units of a tensor see; None where that is not known."""
        found = self._fields.get(id(tensor))
        return found if isinstance(found, Field) else None

    def _note(self, tensor: Tensor, field: Field | Placed | None) -> None:
        self._kept.append(tensor)
        self._fields[id(tensor)] = field

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [one for one in _tensors([args, kwargs]) if id(one) in self._fields]
        fields = [self._fields[id(one)] for one in given]
        shapes = [tuple(one.shape) for one in given]  # before an operation in place
        output = func(*args, **kwargs)
        if not given or str(getattr(func, "__name__", "")).startswith(_FRESH):
            return output
        grids = [one for one in fields if isinstance(one, Field)]
        apart = [one for one in fields if isinstance(one, Placed)]
        with torch._C.DisableTorchFunction():
            for place, made in enumerate(_tensors(output)):
                call = Call(func, args, kwargs, made, shapes, grids)
                found: Field | Placed | None = None
                if len(grids) == len(fields):
                    found = _after(call)
                elif len(apart) == len(fields) and not _unknown(call):
                    found = attention_windows.after(call, apart, place)
                self._note(made, found)
        return output


def _tensors(value: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for part in value for tensor in _tensors(part)]
    return []


def _after(call: Call) -> Field | Placed | None:
    """What the units of a call's output see."""
    if call.name in _PRODUCTS and len(call.fields) > 1 and all(len(one.axes) == 1 for one in call.fields):
        return ATTENDED  # tokens with tokens, each along an axis of its own
    field = union(call.fields)
    if field is None or field.whole:
        return field
    found = _RULES[call.name](call, field) if call.name in _RULES else _each_by_itself(call, field)
    if found is None and call.name in attention_windows.ENTERS and len(field.axes) == 2 and len(call.fields) == 1:
        return attention_windows.after(call, [Placed.of(field, call.shapes[0])], 0)
    return found


def _unknown(call: Call) -> bool:
    """Whether an operation may mix cells that are not in their grid, in a way that is not followed."""
    known = attention_windows.FOLLOWED
    return call.name not in known and (
        call.name in _RULES or call.name in _ELSEWHERE or call.name in _STATISTICS or call.name.startswith("conv")
    )


def _each_by_itself(call: Call, field: Field) -> Field | None:
    """An operation of which nothing is known: when the grid keeps its place and size, each unit stays by itself."""
    if call.name in _ELSEWHERE:
        return None
    if call.name in ("softmax", "log_softmax") and int(call.argument("dim", 1, -1)) % call.made.ndim in field.axes:
        return None
    for shape, one in zip(call.shapes, call.fields, strict=True):
        if one.whole:
            continue
        if len(shape) != call.made.ndim or any(shape[axis] != call.made.shape[axis] for axis in field.axes):
            return None
    return replace(field, gated=True) if call.name in _STATISTICS else field


def _pair(value: Any) -> Pair:
    if isinstance(value, (tuple, list)):
        return float(value[0]), float(value[-1])
    return float(value), float(value)


def _plain(call: Call, field: Field) -> bool:
    """Whether the grid is the last two axes of the first argument."""
    return field.axes == (call.args[0].ndim - 2, call.args[0].ndim - 1)


@_rule("conv2d")
def _convolution(call: Call, field: Field) -> Field | None:
    if not _plain(call, field):
        return None
    kernel = _pair(tuple(call.argument("weight", 1).shape[2:]))
    dilation = _pair(call.argument("dilation", 5, 1))
    padding = call.argument("padding", 4, 0)
    if padding == "same":  # the odd one is added behind
        padding = [math.floor(d * (k - 1) / 2) for k, d in zip(kernel, dilation, strict=True)]
    return field.slide(
        kernel, _pair(call.argument("stride", 3, 1)), _pair(padding if padding != "valid" else 0), dilation
    )


@_rule("max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "lp_pool2d")
def _pool(call: Call, field: Field) -> Field | None:
    if not _plain(call, field):
        return None
    first = 2 if call.name == "lp_pool2d" else 1  # it takes the norm before the size of the window
    kernel = call.argument("kernel_size", first)
    stride = call.argument("stride", first + 1)
    padding = 0 if call.name == "lp_pool2d" else call.argument("padding", 3, 0)
    dilation = call.argument("dilation", 4, 1) if call.name.startswith("max") else 1
    return field.slide(_pair(kernel), _pair(stride or kernel), _pair(padding), _pair(dilation))


@_rule("adaptive_avg_pool2d", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices")
def _adaptive(call: Call, field: Field) -> Field | None:
    if not _plain(call, field):
        return None
    cells, wanted = call.args[0].shape[-2:], call.made.shape[-2:]
    if tuple(wanted) == (1, 1):
        return GATE
    if any(have % want for have, want in zip(cells, wanted, strict=True)):
        return None  # its windows are of different sizes
    window = _pair([have // want for have, want in zip(cells, wanted, strict=True)])
    return field.slide(window, window, (0, 0))


@_rule("pad")
def _pad(call: Call, field: Field) -> Field | None:
    """Sides are given from the last axis on; what is added to channels does not move the grid."""
    sides, last = [*call.argument("pad", 1), *[0] * 8], call.args[0].ndim - 1
    if len(field.axes) != 2:
        return None
    before = [float(sides[2 * (last - axis)]) for axis in field.axes]
    return field.slide((1, 1), (1, 1), (before[0], before[1]))


@_rule("getitem")
def _slicing(call: Call, field: Field) -> Field | None:
    """Slices of the grid, such as every second cell, and numbers elsewhere; what else is taken must leave it alone."""
    [given, index] = call.args[:2]
    index = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(one, (slice, int)) or one is Ellipsis for one in index):
        return _each_by_itself(call, field)
    place = index.index(Ellipsis) if Ellipsis in index else len(index)
    after = index[place + 1 :]
    slices = [*index[:place], *[slice(None)] * (given.ndim - place - len(after)), *after]
    gone = [axis for axis, one in enumerate(slices) if isinstance(one, int)]
    if set(gone).intersection(field.axes):
        return None
    cuts = [slices[axis].indices(given.shape[axis]) for axis in field.axes]
    field = replace(field, axes=tuple(axis - sum(one < axis for one in gone) for axis in field.axes))
    if len(cuts) == 1:  # of tokens, such as all but the class token
        return field
    return field.slide((1, 1), (cuts[0][2], cuts[1][2]), (-cuts[0][0], -cuts[1][0]))


@_rule("mean", "sum", "amax", "amin", "std", "var", "norm")
def _reduction(call: Call, field: Field) -> Field | None:
    """Over the whole grid: the whole input. Over channels: the grid moves up where their axis goes."""
    dims = call.argument("dim", 2 if call.name == "norm" else 1)
    given = call.args[0]
    over = range(given.ndim) if dims is None else [dims] if isinstance(dims, int) else dims
    gone = {int(dim) % given.ndim for dim in over}
    if gone.issuperset(field.axes):
        return GATE
    if gone.intersection(field.axes):
        return None
    if call.made.ndim == given.ndim:
        return field
    return replace(field, axes=tuple(axis - sum(dim < axis for dim in gone) for axis in field.axes))


@_rule("permute", "transpose", "swapaxes", "movedim")
def _permutation(call: Call, field: Field) -> Field | None:
    stand_in = torch.empty([2 + axis for axis in range(call.args[0].ndim)], device="meta")
    moved = tuple(call.function(stand_in, *call.args[1:], **call.kwargs).shape)  # each axis is told by its size
    return replace(field, axes=tuple(moved.index(2 + axis) for axis in field.axes))


@_rule("reshape", "view", "flatten", "unflatten")
def _reshaping(call: Call, field: Field) -> Field | None:
    """The grid is where as many values stand before it as before; its two axes may have become one."""
    [shape], made = call.shapes, tuple(call.made.shape)
    if made == shape:
        return field
    first = field.axes[0]
    if field.axes != tuple(range(first, first + len(field.axes))):
        return None
    before, cells = math.prod(shape[:first]), tuple(shape[axis] for axis in field.axes)
    for axis in range(len(made)):
        if math.prod(made[:axis]) == before:
            if made[axis : axis + len(cells)] == cells:
                return replace(field, axes=tuple(range(axis, axis + len(cells))))
            if made[axis] == math.prod(cells):
                return replace(field, axes=(axis,))
    return GATE if len(made) <= 2 else None  # a vector of everything, which a linear layer mixes


@_rule("linear", "layer_norm")
def _last_axis(call: Call, field: Field) -> Field | None:
    """What mixes along the last axis."""
    if call.made.ndim - 1 not in field.axes:
        return field
    return ATTENDED if len(field.axes) == 1 and call.name == "linear" else None


@_rule("cat", "concat", "concatenate")
def _joining(call: Call, field: Field) -> Field | None:
    """Along the grid only something that does not depend on the input may join it, such as a class token."""
    if int(call.argument("dim", 1, 0)) % call.made.ndim not in field.axes:
        return _each_by_itself(call, field)
    return field if len(call.fields) == 1 and len(field.axes) == 1 else None


@_rule("multi_head_attention_forward", "native_multi_head_attention", "scaled_dot_product_attention", "matmul", "bmm")
def _attention(call: Call, field: Field) -> Field | None:
    """Every token of the one axis sees all others; windows of a grid are followed elsewhere."""
    return ATTENDED if len(call.fields) > 1 and len(field.axes) == 1 else None
