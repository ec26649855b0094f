"""The interface of metrics: one image, one target, and the maps to measure."""

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

    `score` returns the target's probability for inputs made chunk by chunk. `again` returns the n × k maps of other
    inputs (n, c, H, W) for the same target. `randomized` returns the k maps of each stage of the cascading
    randomization. `truth` (H, W): the pixels of the target in the image, None if unknown.
    """

    inputs: Tensor
    maps: Sequence[Map]
    view: View
    score: Scores
    again: Callable[[Tensor], list[list[Map]]]
    randomized: Callable[[], list[list[Map]]]
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
        """Each pixel's rank in its map, 0 for the highest; equal values in random order: (k, H·W)."""
        import torch

        flat = self.wide.flatten(1)
        chance = torch.randperm(flat.shape[1], generator=self.generator(1)).to(flat.device)
        order = chance[flat[:, chance].argsort(dim=1, descending=True, stable=True)]
        places = torch.arange(flat.shape[1], device=flat.device).expand_as(order)
        return torch.empty_like(order).scatter_(1, order, places)

    @cached_property
    def shares(self) -> Tensor:
        """The positive part of each map scaled to [0, 1], at the input's size: (k, 1, H, W). Zero for a blank map."""
        return self.scaled(self.maps)

    @cached_property
    def masked(self) -> Tensor:
        """The image (before normalization) multiplied by each map scaled to [0, 1]: (k, c, H, W)."""
        black = self.gray(0)
        return black + self.shares * (self.inputs - black)

    def scaled(self, maps: Sequence[Map]) -> Tensor:
        """Return the positive part of maps scaled to [0, 1], at the input's size: (k, 1, H, W)."""
        scaled = []
        for values in maps:
            positive = np.maximum(values, 0)
            low, high = positive.min(), positive.max()
            scaled.append((positive - low) / (high - low) if high > low else np.zeros_like(positive))
        return self.upsample(scaled)[:, None]

    @cached_property
    def placed(self) -> list[Map]:
        """The positive part of each map on the image: k times (H, W), NaN outside the model's view."""
        return [np.maximum(self.view.place(values), 0) for values in self.maps]

    @cached_property
    def seen_truth(self) -> NDArray[np.bool_] | None:
        """The part of the truth inside the model's view; None when there is none."""
        if self.truth is None:
            return None
        seen = self.truth & np.isfinite(self.placed[0])
        return seen if seen.any() else None

    def upsample(self, maps: Sequence[Map]) -> Tensor:
        """Return maps at the input's size: (k, H, W). Values that are not finite become the minimum."""
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
        """Return a gray level, 0 black to 1 white, as a normalized input: (c, 1, 1)."""
        mean, std = (self.inputs.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (level - mean) / std

    @cached_property
    def original(self) -> float:
        """The score of the unchanged image."""
        return float(self.score(1, lambda *_: self.inputs[None])[0])

    @cached_property
    def left(self) -> dict[str, float]:
        """By metric: the fraction of the score that remains when all pixels are replaced."""
        return {}

    @cached_property
    def memo(self) -> dict[Any, NDArray[np.float64]]:
        """Curves shared by several metrics."""
        return {}

    def generator(self, purpose: int) -> Any:
        """Return a random generator for each purpose, with a fixed seed."""
        import torch

        return torch.Generator().manual_seed(1000 * self.seed + purpose)
