"""Attention maps of each head, with entropy and mean attention distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from camviz.engine.attention_flow import Attention
from camviz.engine.attention_structure import Structure
from camviz.engine.forward import ForwardRequest
from camviz.errors import ModelError
from camviz.feature_maps.maps import FeatureMaps
from camviz.models.channels import input_channels
from camviz.models.extra_inputs import inputs_of
from camviz.models.layers import expand
from camviz.types import Image, Model, View


@dataclass(frozen=True, eq=False)
class HeadMaps(FeatureMaps):
    """Attention of the query that the classifier reads, per head, as maps (heads, h, w); each sums to 1 with `rest`.

    `entropy` (heads,) in bits and `distance` (heads,) in pixels of the input, both averaged over queries; the distance
    is from a patch to the patches it attends to, NaN for pooling attention. `rest` (heads,) is the attention to
    prefix tokens. `query` names the row shown; a query attends to `tokens` tokens.
    """

    entropy: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    distance: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    rest: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    query: str = ""
    tokens: int = 0


class HeadExtractor:
    """Read the attention of the modules that match `patterns` (default: the last block) in one forward pass.

    Raises `UnknownName`, and `ModelError` for a module or a model without attention.
    """

    def __init__(self, model: Model, patterns: Sequence[str], precision: str = "fp32", fit: str = "model") -> None:
        self.model, self.fit = model, fit
        self.ask = ForwardRequest(model, (), gradients=False, precision=precision)
        size = model.preprocessing.crop
        blank = torch.zeros((1, input_channels(model.module), *size), device=model.device)
        try:
            how = self._attention(blank).structure
        except ModelError as error:
            raise ModelError(error.message, "leave out --attention to draw the channels of a layer") from error
        self.names, self.heads = _choose(model, how, patterns), how.heads

    def __call__(
        self, images: Sequence[Image], inputs: Sequence[NDArray[np.float32]], views: Sequence[View]
    ) -> list[list[FeatureMaps]]:
        """Return for each image the heads of each attention; inputs have one shape."""
        batch = torch.from_numpy(np.stack(inputs)).to(self.model.device)
        with inputs_of(self.model, images, self.fit):
            attention = self._attention(batch)
        how = attention.structure
        distances = _distances(how.grid, (batch.shape[2], batch.shape[3])).to(batch)
        matrices = attention.matrices(lambda matrix: measured(matrix, how, distances))
        known = dict(zip([*how.paths, *filter(None, [how.pool])], matrices, strict=True))
        heads: list[list[FeatureMaps]] = [[] for _ in images]
        for name in self.names:
            rows, measures = known[name][..., :-2], known[name][..., -2:].cpu().numpy()
            maps = how.place(rows).cpu().numpy()
            rest = 1 - maps.sum((2, 3))
            for i, (image, view) in enumerate(zip(images, views, strict=True)):
                entropy, distance = measures[i].T
                facts = (entropy, distance, rest[i], _query(how, name), how.tokens)
                heads[i].append(HeadMaps(maps[i], name, self.model.name, image, view, None, None, None, *facts))
        return heads

    def _attention(self, inputs: Tensor) -> Attention:
        def scores(*_: object) -> Tensor:
            raise AssertionError("heads need no gradient")

        return Attention(self.ask, inputs, scores)


def measured(attention: Tensor, how: Structure, distances: Tensor) -> Tensor:
    """Reduce attention (n, heads, q, k) to (n, heads, N + 2): the row that is read, then entropy and distance.

    Entropy in bits: -Σ A log₂ A. Distance: Σ_j A_ij d_ij / Σ_j A_ij over patches (arXiv:2010.11929, figure 7). Both are
    averaged over queries.
    """
    attention = attention.float()
    entropy = -torch.special.xlogy(attention, attention).sum(-1).mean(-1) / math.log(2)
    if attention.shape[-2] != how.tokens:
        rows = torch.nn.functional.pad(attention.mean(-2), (how.tokens - attention.shape[-1], 0))
        distance = torch.full_like(entropy, math.nan)
    else:
        rows = how.reads.to(attention) @ attention
        patches = attention[..., how.layer.prefix :, how.layer.prefix :]
        distance = ((patches * distances).sum(-1) / patches.sum(-1)).mean(-1)
    return torch.cat([rows, entropy[..., None], distance[..., None]], -1)


def _distances(grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return the distances between the centers of all patches (h·w, h·w) in pixels, in reading order."""
    steps = [full / cells for full, cells in zip(size, grid, strict=True)]
    places = torch.cartesian_prod(*(torch.arange(cells) * step for cells, step in zip(grid, steps, strict=True)))
    return torch.cdist(places, places)


def _choose(model: Model, how: Structure, patterns: Sequence[str]) -> list[str]:
    """Return the attention modules inside or around the modules that match the patterns."""
    known = [*how.paths, *filter(None, [how.pool])]
    names: dict[str, None] = {}
    for pattern in patterns:
        paths = expand(model, pattern)
        inside = [name for name in known for path in paths if f"{name}.".startswith(f"{path}.") or _around(name, path)]
        if not inside:
            raise ModelError(
                f"layer '{pattern}' of {model.name} has no attention", f"--layer {known[-1]}, or {known[0]}"
            )
        names |= dict.fromkeys(inside)
    return list(names) or [how.paths[-1]]


def _around(attention: str, path: str) -> bool:
    return path.startswith(f"{attention}.")


def _query(how: Structure, name: str) -> str:
    """Describe the query whose attention is shown."""
    if name == how.pool:
        return "attention of the pooling query"
    prefix, patches = bool(how.reads[: how.layer.prefix].any()), bool(how.reads[how.layer.prefix :].any())
    if prefix and patches:
        return "attention of the class token and mean attention of the patches, half each"
    if patches:
        return "mean attention of all patches"
    count = int((how.reads > 0).sum())
    return "attention of the class token" if count == 1 else f"mean attention of the {count} tokens that are read"
