"""The patches of many images that excite a channel most: one pass over the model, a fixed amount of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from camviz.feature_maps.receptive_field import Field
from camviz.types import View

T = TypeVar("T")
Rank = Literal["energy", "peak"]
_LARGEST_SHARE = 0.5  # of the input that a theoretical field may cover to be worth cutting by


@dataclass(frozen=True)
class Patch(Generic[T]):
    """Where an image excites a channel most: the image, the box on it in pixels, the activation there."""

    source: T
    box: tuple[int, int, int, int]  # (left, top, right, bottom), ends excluded
    side: float  # of the whole cut, where the image's edge does not shorten it; the longer one
    activation: float


@dataclass
class Best(Generic[T]):
    """The `count` images with the highest peak of each channel, as images go by; one peak per image and channel.

    Kept are numbers only: for each channel and place the peak, the unit and the image's number, and for the
    images that still have a place what leads back to them. 2048 channels × 9 places: under one megabyte.
    """

    channels: int
    count: int
    images: int = 0
    energy: NDArray[np.float64] = field(init=False)
    peaks: NDArray[np.float32] = field(init=False)  # (channels, count), falling; -inf where there is none
    _units: NDArray[np.int32] = field(init=False)  # (channels, count, 2): row, column
    _numbers: NDArray[np.int64] = field(init=False)
    _sources: dict[int, tuple[T, View, tuple[int, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        places = (self.channels, self.count)
        self.energy = np.zeros(self.channels)
        self.peaks = np.full(places, -np.inf, np.float32)
        self._units, self._numbers = np.zeros((*places, 2), np.int32), np.full(places, -1, np.int64)

    def add(self, source: T, view: View, maps: NDArray[np.float32]) -> None:
        """One image's maps (c, h, w), all finite; equal peaks keep the image that came first."""
        flat = maps.reshape(self.channels, -1)
        self.energy += np.square(flat, dtype=np.float64).mean(1)
        place = flat.argmax(1)
        peak = flat[np.arange(self.channels), place]
        better = np.flatnonzero(peak > self.peaks[:, -1])
        if len(better):
            rows, columns = np.divmod(place[better], maps.shape[2])
            self.peaks[better, -1], self._numbers[better, -1] = peak[better], self.images
            self._units[better, -1] = np.stack([rows, columns], axis=1)
            order = np.argsort(-self.peaks[better], axis=1, kind="stable")
            for kept in (self.peaks, self._numbers):
                kept[better] = np.take_along_axis(kept[better], order, axis=1)
            self._units[better] = np.take_along_axis(self._units[better], order[:, :, None], axis=1)
            self._sources[self.images] = (source, view, (maps.shape[1], maps.shape[2]))
        self.images += 1
        if self.images % 64 == 0:
            alive = set(self._numbers.ravel().tolist())
            self._sources = {number: kept for number, kept in self._sources.items() if number in alive}

    def order(self, rank: Rank = "energy") -> list[int]:
        """Channels, the first by mean square, or by the highest peak; those without any activation left out."""
        scores = self.energy if rank == "energy" else self.peaks[:, 0].astype(np.float64)
        return [int(k) for k in np.argsort(-scores, kind="stable") if self.energy[k] > 0]

    def patches(self, channel: int, look: Look) -> list[Patch[T]]:
        """The channel's patches, the strongest first; an image in which the channel is zero everywhere is none."""
        found = []
        for place in np.flatnonzero(self._numbers[channel] >= 0):
            activation = float(self.peaks[channel, place])
            if self.energy[channel] > 0 and activation != 0:
                source, view, grid = self._sources[int(self._numbers[channel, place])]
                row, column = (int(cell) for cell in self._units[channel, place])
                found.append(Patch(source, *look.box(view, grid, row, column), activation))
        return found


@dataclass(frozen=True)
class Look:
    """How large a piece of the input a patch shows: the theoretical field, or a square of the effective one's side.

    Neither (`field` None, `side` 0): the whole input.
    """

    field: Field | None = None
    side: float = 0.0

    def words(self, input_size: tuple[int, int]) -> str:
        """What the caption says of it."""
        full = f"of {input_size[1]}×{input_size[0]} pixels"
        if self.field:
            most = "at most " if self.field.bound else ""
            return f"cut by the theoretical receptive field: {most}{self.field.size[1]:g}×{self.field.size[0]:g} {full}"
        if self.side:
            return f"cut by the effective receptive field, 95% of the gradient: {self.side:.0f}×{self.side:.0f} {full}"
        return "whole inputs: the center unit has no gradient to measure a field by"

    def facts(self) -> dict[str, Any]:
        """The same for JSON; sizes are (down, across)."""
        if self.field:
            return {"kind": "theoretical", "size": list(self.field.size)}
        return {"kind": "effective", "size": [self.side, self.side]} if self.side else {"kind": "whole input"}

    @classmethod
    def of(cls, field: Field | None, input_size: tuple[int, int]) -> Look | None:
        """The theoretical field, when it is known and covers at most half of the input (height, width)."""
        fits = field and not field.whole and field.share(input_size) <= _LARGEST_SHARE
        return cls(field) if fits else None

    def box(self, view: View, grid: tuple[int, int], row: int, column: int) -> tuple[tuple[int, int, int, int], float]:
        """The pixels of the image that the patch of a unit shows: what of it lies inside both input and image.

        And the longer side, in the image's pixels, of the patch without those edges.
        """
        width, height = view.size
        if self.field:
            inside = self.field.box(row, column)
        elif self.side:
            x, y = (column + 0.5) * width / grid[1], (row + 0.5) * height / grid[0]
            inside = (x - self.side / 2, y - self.side / 2, x + self.side / 2, y + self.side / 2)
        else:
            inside = (0.0, 0.0, float(width), float(height))
        left, top, right, bottom = view.box
        across, down = (right - left) / width, (bottom - top) / height
        limits = view.rectangle
        columns = [left + side * across for side in (inside[0], inside[2])]
        rows = [top + side * down for side in (inside[1], inside[3])]
        x0, x1 = _pixels(columns, limits[0], limits[2])
        y0, y1 = _pixels(rows, limits[1], limits[3])
        return (x0, y0, x1, y1), max(columns[1] - columns[0], rows[1] - rows[0])


def _pixels(ends: Sequence[float], first: int, last: int) -> tuple[int, int]:
    """The pixels from `first` to `last` that [start, stop] touches most of, at least one."""
    start = min(max(round(ends[0]), first), max(first, last - 1))
    return start, max(start + 1, min(round(ends[1]), last))
