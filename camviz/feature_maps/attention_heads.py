"""What each head of an attention looks at: maps like a layer's feature maps, with entropy and distance."""

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
from camviz.engine.forward import Ask
from camviz.errors import ModelError
from camviz.feature_maps.maps import FeatureMaps
from camviz.models.layers import expand
from camviz.models.survey import input_channels
from camviz.types import Image, Model, View


@dataclass(frozen=True, eq=False)
class HeadMaps(FeatureMaps):
    """The row of each head's attention that the model's head reads, as maps (heads, h, w); with `rest` it sums to 1.

    `entropy` (heads,) in bits and `distance` (heads,) in pixels of the input, both the mean over queries; the distance
    is from a patch to the patches it attends to, NaN for attention that pools. `rest` (heads,) goes to the prefix.
    """

    entropy: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    distance: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    rest: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    whose: str = ""  # in words, the row that is shown
    tokens: int = 0  # that a query can attend to


class HeadExtractor:
    """Reads the attention of the modules that `patterns` mean, the last block's without any; one forward for all.

    Raises `UnknownName`, and `ModelError` for a module without attention or a model that has none to read.
    """

    def __init__(self, model: Model, patterns: Sequence[str], precision: str = "fp32") -> None:
        self.model = model
        self.ask = Ask(model, (), gradients=False, precision=precision)
        size = model.preprocessing.crop
        blank = torch.zeros((1, input_channels(model.module), *size), device=model.device)
        try:
            how = self._attention(blank).structure
        except ModelError as error:
            raise ModelError(error.message, "without --attention the channels of any layer are shown") from error
        self.names, self.heads = _choose(model, how, patterns), how.heads

    def __call__(
        self, images: Sequence[Image], inputs: Sequence[NDArray[np.float32]], views: Sequence[View]
    ) -> list[list[FeatureMaps]]:
        """For each image the heads of each attention. Inputs are of one shape."""
        batch = torch.from_numpy(np.stack(inputs)).to(self.model.device)
        attention = self._attention(batch)
        how = attention.structure
        distances = _distances(how.grid, (batch.shape[2], batch.shape[3])).to(batch)
        found = attention.matrices(lambda one: measured(one, how, distances))
        known = dict(zip([*how.paths, *filter(None, [how.pool])], found, strict=True))
        made: list[list[FeatureMaps]] = [[] for _ in images]
        for name in self.names:
            rows, measures = known[name][..., :-2], known[name][..., -2:].cpu().numpy()
            maps = how.place(rows).cpu().numpy()
            rest = 1 - maps.sum((2, 3))
            for i, (image, view) in enumerate(zip(images, views, strict=True)):
                entropy, distance = measures[i].T
                own = (entropy, distance, rest[i], _whose(how, name), how.tokens)
                made[i].append(HeadMaps(maps[i], name, self.model.name, image, view, None, None, None, *own))
        return made

    def _attention(self, inputs: Tensor) -> Attention:
        def scores(*_: object) -> Tensor:
            raise AssertionError("no gradient is asked for")

        return Attention(self.ask, inputs, scores)


def measured(attention: Tensor, how: Structure, distances: Tensor) -> Tensor:
    """Attention (n, heads, q, k) as (n, heads, N + 2): the row that is read, then entropy and distance.

    Entropy in bits: -Σ A log₂ A. Distance: Σ_j A_ij d_ij / Σ_j A_ij over patches (arXiv:2010.11929, figure 7). Both are
    means over queries.
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
    """Pixels between the centers of all patches (h·w, h·w), in reading order."""
    steps = [full / cells for full, cells in zip(size, grid, strict=True)]
    places = torch.cartesian_prod(*(torch.arange(cells) * step for cells, step in zip(grid, steps, strict=True)))
    return torch.cdist(places, places)


def _choose(model: Model, how: Structure, patterns: Sequence[str]) -> list[str]:
    """The attentions in or around the modules that the patterns mean."""
    known = [*how.paths, *filter(None, [how.pool])]
    found: dict[str, None] = {}
    for pattern in patterns:
        paths = expand(model, pattern)
        inside = [one for one in known for path in paths if f"{one}.".startswith(f"{path}.") or _around(one, path)]
        if not inside:
            raise ModelError(
                f"layer '{pattern}' of {model.name} holds no attention", f"--layer {known[-1]}, or {known[0]}, does"
            )
        found |= dict.fromkeys(inside)
    return list(found) or [how.paths[-1]]


def _around(attention: str, path: str) -> bool:
    return path.startswith(f"{attention}.")


def _whose(how: Structure, name: str) -> str:
    """In words, the row that is shown."""
    if name == how.pool:
        return "row of the pooling query"
    own, patches = bool(how.reads[: how.layer.prefix].any()), bool(how.reads[how.layer.prefix :].any())
    if own and patches:
        return "row of the class token and mean row of the patches, half each"
    if patches:
        return "mean row of all patches"
    count = int((how.reads > 0).sum())
    return "row of the class token" if count == 1 else f"mean row of the {count} tokens that the head reads"
