"""What a metric may read: one image, one target, and the maps that claim to explain it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from camviz.types import Map, View

if TYPE_CHECKING:
    from torch import Tensor

Batch = Callable[[int, int], "Tensor"]  # inputs (stop - start, c, H, W)
Scores = Callable[[int, Batch], "Tensor"]  # how many, and how they are made: (total,)


@dataclass(eq=False)
class Case:
    """One image's input (c, H, W) and k raw maps of any size.

    `score` reads the target from inputs made piece by piece: the probability of a class. `again` explains other
    inputs (n, c, H, W) for the same target: n times k maps. `shuffled` gives the k maps of ever more
    randomized models. `truth` (H, W) is where the target is in the image; None where nobody knows.
    """

    inputs: Tensor
    maps: Sequence[Map]
    view: View
    score: Scores
    again: Callable[[Tensor], list[list[Map]]]
    shuffled: Callable[[], list[list[Map]]]
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    truth: NDArray[np.bool_] | None = None
    forwards: int = 32
    seed: int = 0

    # the maps

    @cached_property
    def wide(self) -> Tensor:
        """The raw maps at the input's size, bilinear: (k, H, W)."""
        return self.upsample(self.maps)

    @cached_property
    def ranks(self) -> Tensor:
        """Each pixel's place in its map, 0 for the highest; equal ones in random order: (k, H·W)."""
        import torch

        flat = self.wide.flatten(1)
        chance = torch.randperm(flat.shape[1], generator=self.generator(1)).to(flat.device)
        order = chance[flat[:, chance].argsort(dim=1, descending=True, stable=True)]
        places = torch.arange(flat.shape[1], device=flat.device).expand_as(order)
        return torch.empty_like(order).scatter_(1, order, places)

    @cached_property
    def shares(self) -> Tensor:
        """The positive part of each map from 0 to 1, at the input's size: (k, 1, H, W). Zero for a blank map."""
        scaled = []
        for values in self.maps:
            positive = np.maximum(values, 0)
            low, high = positive.min(), positive.max()
            scaled.append((positive - low) / (high - low) if high > low else np.zeros_like(positive))
        return self.upsample(scaled)[:, None]

    @cached_property
    def placed(self) -> list[Map]:
        """The positive part of each map on the image: k times (H, W), NaN where the model saw nothing."""
        return [np.maximum(self.view.place(values), 0) for values in self.maps]

    @cached_property
    def seen_truth(self) -> NDArray[np.bool_] | None:
        """The part of the truth that the model saw; None when there is none."""
        if self.truth is None:
            return None
        seen = self.truth & np.isfinite(self.placed[0])
        return seen if seen.any() else None

    def upsample(self, maps: Sequence[Map]) -> Tensor:
        """Maps at the input's size: (k, H, W). What is not finite counts as the least."""
        import torch
        from torch.nn import functional as F

        wide = []
        for values in maps:
            finite = np.isfinite(values)
            cells = np.where(finite, values, values[finite].min() if finite.any() else 0).astype(np.float32)
            one = torch.from_numpy(cells).to(self.inputs.device)[None, None]
            wide.append(F.interpolate(one, self.inputs.shape[1:], mode="bilinear", align_corners=False)[0, 0])
        return torch.stack(wide)

    # the input

    def gray(self, level: float) -> Tensor:
        """What a gray level, 0 black to 1 white, is to the model: (c, 1, 1)."""
        mean, std = (self.inputs.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (level - mean) / std

    @cached_property
    def original(self) -> float:
        """The score of the image as it is."""
        return float(self.score(1, lambda *_: self.inputs[None])[0])

    @cached_property
    def left(self) -> dict[str, float]:
        """By metric: the share of the score that the image keeps when all its pixels are taken away."""
        return {}

    @cached_property
    def memo(self) -> dict[Any, NDArray[np.float64]]:
        """Curves that several metrics read."""
        return {}

    def generator(self, purpose: int) -> Any:
        """A source of random numbers of its own for each purpose, the same every time."""
        import torch

        return torch.Generator().manual_seed(1000 * self.seed + purpose)
