"""Kernels of convolutions, sorted by norm, with near-duplicates; similarity of position embeddings."""

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
from camviz.models.typed import layers_command
from camviz.types import Model

SIMILAR = 0.95  # cosine similarity from which two kernels are near-duplicates
FAINT = 0.01  # of the largest norm: weaker kernels are invisible on the same scale


@dataclass(frozen=True, eq=False)
class Kernels:
    """The weights (n, c, h, w) float32 of a convolution, with c input channels per group."""

    weights: NDArray[np.float32] = field(repr=False)
    layer: str
    model: str
    groups: int = 1

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        """L2 norm of each kernel (n,)."""
        return np.asarray(np.linalg.norm(self._flat, axis=1))

    @cached_property
    def finite(self) -> NDArray[np.bool_]:
        """Whether all weights of each kernel are finite (n,)."""
        return np.asarray(np.isfinite(self.weights).all((1, 2, 3)))

    @cached_property
    def faint(self) -> list[int]:
        """Kernels whose norm is below 1 % of the largest."""
        largest = self.norms[self.finite].max(initial=0)
        return [int(k) for k in np.flatnonzero(self.finite & (self.norms <= FAINT * largest))]

    @property
    def _flat(self) -> NDArray[np.float64]:
        return self.weights.reshape(len(self.weights), -1).astype(np.float64)

    def order(self) -> list[int]:
        """Return all kernels in descending order of norm; those with NaN or infinite weights last."""
        return [int(k) for k in np.argsort(np.where(self.finite, -self.norms, np.inf), kind="stable")]

    def slices(self, kernel: int, count: int) -> list[int]:
        """Return the input channels (within the group) with the largest weights of a kernel, strongest first."""
        norms = np.linalg.norm(self.weights[kernel].reshape(self.weights.shape[1], -1).astype(np.float64), axis=1)
        return [int(c) for c in np.argsort(-norms, kind="stable")[:count]]

    def source(self, kernel: int, channel: int) -> int:
        """Return the input channel of the layer for `channel` of the kernel's group."""
        return int(kernel // (len(self.weights) // self.groups) * self.weights.shape[1] + channel)

    def duplicates(self) -> list[tuple[int, ...]]:
        """Return groups of kernels linked by a cosine similarity of at least 0.95, largest first, without faint ones.

        Kernels of different groups of a grouped convolution read different channels and are not compared.
        """
        usable = np.flatnonzero(self.finite)
        usable = usable[~np.isin(usable, self.faint)]
        unit = self._flat[usable] / self.norms[usable][:, None]
        similar = unit @ unit.T >= SIMILAR
        if self.groups > 1 and self.weights.shape[1] > 1:
            group = usable // (len(self.weights) // self.groups)
            similar &= group[:, None] == group[None]
        chains, seen = [], np.zeros(len(usable), bool)
        for start in range(len(usable)):
            if seen[start]:
                continue
            members = np.zeros(len(usable), bool)
            members[start], size = True, 0
            while size < members.sum():  # until the chain stops growing
                size = int(members.sum())
                members |= similar[members].any(0)
            seen |= members
            if size > 1:
                chains.append(tuple(int(k) for k in usable[members]))
        return sorted(chains, key=lambda chain: (-len(chain), chain))


def find_kernels(model: Model, patterns: Sequence[str] = ()) -> list[Kernels]:
    """Return the kernels of the convolutions that match the patterns (default: the first convolution).

    Raises `ModelError` naming the nearest convolution for a layer of another type; a glob skips such layers.
    """
    seen = survey(model.module, model.preprocessing.crop, model.name)
    known = _convolutions(model.module, seen)
    if not known:
        hint = f"{layers_command(model)} shows what it has; --position draws position embeddings"
        raise ModelError(f"{model.name} has no 2-D convolution, so there are no kernels to draw", hint)
    chosen: dict[str, nn.Conv2d] = {}
    for pattern in patterns or [next(iter(known))]:
        try:
            paths = [layer.path for layer in find_layers(model, [pattern], seen)]
        except ModelError:  # its output is not a grid, so it is not a convolution
            paths = [pattern]
        convolutions = {path: known[path] for path in paths if path in known}
        if not convolutions:
            raise _no_convolution(model, paths[0], list(known), seen)
        chosen |= convolutions
    return [_kernels(model, path, convolution) for path, convolution in chosen.items()]


def _convolutions(module: nn.Module, seen: Survey) -> dict[str, nn.Conv2d]:
    """Return the 2-D convolutions in the order in which they ran."""
    modules = {layer.path: module.get_submodule(layer.path) for layer in seen.layers}
    return {path: submodule for path, submodule in modules.items() if isinstance(submodule, nn.Conv2d)}


def _kernels(model: Model, path: str, convolution: nn.Conv2d) -> Kernels:
    weights = convolution.weight.detach().float().cpu().numpy()
    return Kernels(weights, path, model.name, convolution.groups)


def _no_convolution(model: Model, path: str, known: list[str], seen: Survey) -> ModelError:
    inside = next((name for name in known if name.startswith(f"{path}.")), "")
    layer = seen.find(path)
    kind = f"a {layer.kind}" if layer else "not called in a forward pass"
    if inside:
        hint = f"--layer {inside} is the first convolution inside it"
    else:
        ran = [record.path for record in seen.layers]
        before = [name for name in known if path in ran and ran.index(name) < ran.index(path)]
        hint = f"--layer {before[-1] if before else known[0]} is the nearest; {layers_command(model)} lists all"
    return ModelError(f"layer '{path}' of {model.name} is {kind}, not a 2-D convolution: it has no kernels", hint)


@dataclass(frozen=True, eq=False)
class Positions:
    """Cosine similarity (h, w, h, w) of the position embeddings of all pairs of patches."""

    cosines: NDArray[np.float32] = field(repr=False)
    name: str
    model: str


def find_positions(model: Model) -> Positions:
    """Return the cosine similarity of the learned position embeddings (Dosovitskiy et al. 2021, figure 7).

    Reads the parameter (1, tokens, width) or (tokens, width) with "pos" in its name. The last tokens that form a grid
    in the proportions of the input are the patches; tokens before them (class token, registers) are left out.
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
                    f"'{name}' of {model.name} contains zero or NaN vectors: it is not trained", "--checkpoint FILE"
                )
            unit = patches / norms[:, None]
            cosines = (unit @ unit.T).reshape(*grid, *grid).astype(np.float32)
            return Positions(cosines, name, model.name)
    raise ModelError(
        f"{model.name} has no learned position embedding of patches", "--model vit_b_16, or leave out --position"
    )


def _grid(tokens: int, input_size: tuple[int, int]) -> tuple[int, int] | None:
    """Return (rows, columns) in the proportions of the input for all tokens except up to 16, None if none fits."""
    ratio = input_size[0] / input_size[1]
    for cells in range(tokens, max(3, tokens - 17), -1):
        rows = round(math.sqrt(cells * ratio))
        if rows and cells % rows == 0 and rows == round(cells // rows * ratio):
            return rows, cells // rows
    return None
