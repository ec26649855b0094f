"""A convolution's kernels as numbers: strongest first, which ones repeat each other; what position embeddings mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from camviz.errors import ModelError, RequestError
from camviz.models.layers import find_layers
from camviz.models.survey import Survey, survey
from camviz.types import Model

ALIKE = 0.95  # cosine from which two kernels are near-duplicates
FAINT = 0.01  # of the largest norm; what is below it cannot be seen on the same scale


@dataclass(frozen=True, eq=False)
class Kernels:
    """The weights (n, c, h, w) float32 of a convolution; c is the number of input channels of one group."""

    weights: NDArray[np.float32] = field(repr=False)
    layer: str
    model: str
    groups: int = 1

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        """The length of each kernel as a vector (n,)."""
        return np.asarray(np.linalg.norm(self._flat, axis=1))

    @cached_property
    def finite(self) -> NDArray[np.bool_]:
        """Which kernels hold only finite weights (n,)."""
        return np.asarray(np.isfinite(self.weights).all((1, 2, 3)))

    @cached_property
    def faint(self) -> list[int]:
        """The kernels that are as good as zero: their norm is below a hundredth of the largest."""
        largest = self.norms[self.finite].max(initial=0)
        return [int(k) for k in np.flatnonzero(self.finite & (self.norms <= FAINT * largest))]

    @property
    def _flat(self) -> NDArray[np.float64]:
        return self.weights.reshape(len(self.weights), -1).astype(np.float64)

    def order(self) -> list[int]:
        """All kernels, the strongest first; those with NaN or infinite weights last."""
        return [int(k) for k in np.argsort(np.where(self.finite, -self.norms, np.inf), kind="stable")]

    def slices(self, kernel: int, count: int) -> list[int]:
        """The input channels, counted within the group, that a kernel weighs most, strongest first."""
        norms = np.linalg.norm(self.weights[kernel].reshape(self.weights.shape[1], -1).astype(np.float64), axis=1)
        return [int(c) for c in np.argsort(-norms, kind="stable")[:count]]

    def source(self, kernel: int, channel: int) -> int:
        """The layer's input channel that is `channel` in the group of the kernel."""
        return int(kernel // (len(self.weights) // self.groups) * self.weights.shape[1] + channel)

    def duplicates(self) -> list[tuple[int, ...]]:
        """Groups of kernels chained by a cosine of at least 0.95, largest group first; faint ones are left out.

        A convolution in groups compares kernels of one group only: the others see other channels.
        """
        usable = np.flatnonzero(self.finite)
        usable = usable[~np.isin(usable, self.faint)]
        unit = self._flat[usable] / self.norms[usable][:, None]
        alike = unit @ unit.T >= ALIKE
        if self.groups > 1 and self.weights.shape[1] > 1:
            own = usable // (len(self.weights) // self.groups)
            alike &= own[:, None] == own[None]
        found, seen = [], np.zeros(len(usable), bool)
        for start in range(len(usable)):
            if seen[start]:
                continue
            members = np.zeros(len(usable), bool)
            members[start], size = True, 0
            while size < members.sum():  # until no neighbor of the chain is new
                size = int(members.sum())
                members |= alike[members].any(0)
            seen |= members
            if size > 1:
                found.append(tuple(int(k) for k in usable[members]))
        return sorted(found, key=lambda group: (-len(group), group))


def find_kernels(model: Model, patterns: Sequence[str] = ()) -> list[Kernels]:
    """The kernels of the convolutions that the patterns mean; of the first convolution without any.

    Raises `ModelError` naming the nearest convolution for a layer that is none; of a glob the others are passed over.
    """
    seen = survey(model.module, model.preprocessing.crop, model.name)
    known = _convolutions(model.module, seen)
    if not known:
        hint = f"'camviz layers {model.name}' shows what it has; --position draws position embeddings"
        raise ModelError(f"{model.name} has no 2-D convolution, so there are no kernels to draw", hint)
    found: dict[str, nn.Conv2d] = {}
    for pattern in patterns or [next(iter(known))]:
        try:
            paths = [layer.path for layer in find_layers(model, [pattern], seen)]
        except ModelError:  # no grid: then certainly no convolution
            paths = [pattern]
        own = {path: known[path] for path in paths if path in known}
        if not own:
            raise _no_convolution(model, paths[0], list(known), seen)
        found |= own
    return [_kernels(model, path, convolution) for path, convolution in found.items()]


def _convolutions(module: nn.Module, seen: Survey) -> dict[str, nn.Conv2d]:
    """The 2-D convolutions in the order in which they ran."""
    parts = {one.path: module.get_submodule(one.path) for one in seen.layers}
    return {path: part for path, part in parts.items() if isinstance(part, nn.Conv2d)}


def _kernels(model: Model, path: str, convolution: nn.Conv2d) -> Kernels:
    weights = convolution.weight.detach().float().cpu().numpy()
    return Kernels(weights, path, model.name, convolution.groups)


def _no_convolution(model: Model, path: str, known: list[str], seen: Survey) -> ModelError:
    inside = next((one for one in known if one.startswith(f"{path}.")), "")
    one = seen.find(path)
    what = f"a {one.kind}" if one else "not run in a forward"
    if inside:
        hint = f"'{inside}' is the first convolution in it"
    else:
        ran = [other.path for other in seen.layers]
        before = [other for other in known if path in ran and ran.index(other) < ran.index(path)]
        hint = f"'{before[-1] if before else known[0]}' is the nearest one; 'camviz layers {model.name}' lists all"
    return ModelError(f"layer '{path}' of {model.name} is {what}, not a 2-D convolution: it has no kernels", hint)


@dataclass(frozen=True, eq=False)
class Positions:
    """How alike the position embeddings of a transformer's patches are: cosines (h, w, h, w)."""

    cosines: NDArray[np.float32] = field(repr=False)
    name: str
    model: str


def find_positions(model: Model) -> Positions:
    """The likeness of each patch's learned position embedding with all others (Dosovitskiy et al. 2021, figure 7).

    Taken is the parameter (1, tokens, width) or (tokens, width) with "pos" in its name; what its tokens are more than
    a grid in the input's proportions has (class token, registers) stands before the patches and is left out.
    """
    for name, parameter in model.module.named_parameters():
        values: Any = parameter.detach().float().cpu().numpy()
        values = values[0] if values.ndim == 3 and len(values) == 1 else values
        if "pos" not in name.rpartition(".")[2].lower() or values.ndim != 2:
            continue
        grid = _grid(len(values), model.preprocessing.crop)
        if grid:
            patches = values[len(values) - grid[0] * grid[1] :].astype(np.float64)
            norms = np.linalg.norm(patches, axis=1)
            if not norms.all() or not np.isfinite(norms).all():
                raise RequestError(
                    f"'{name}' of {model.name} holds zeros or NaN: it is not trained", "--checkpoint FILE"
                )
            unit = patches / norms[:, None]
            cosines = (unit @ unit.T).reshape(*grid, *grid).astype(np.float32)
            return Positions(cosines, name, model.name)
    raise ModelError(
        f"{model.name} has no learned position embedding of its patches", "--model vit_b_16 has one; without --position"
    )


def _grid(tokens: int, input_size: tuple[int, int]) -> tuple[int, int] | None:
    """(rows, columns) in the proportions of the input, of all tokens but at most 16."""
    ratio = input_size[0] / input_size[1]
    for cells in range(tokens, max(3, tokens - 17), -1):
        rows = round(math.sqrt(cells * ratio))
        if rows and cells % rows == 0 and rows == round(cells // rows * ratio):
            return rows, cells // rows
    return None
