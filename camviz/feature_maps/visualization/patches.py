"""Top-activating patches of many images per channel, in one pass and with bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from camviz.models.receptive_field import Field
from camviz.types import View

T = TypeVar("T")
Rank = Literal["energy", "peak"]
_LARGEST_SHARE = 0.5  # fraction of the input up to which patches are cropped to the theoretical field


@dataclass(frozen=True)
class Patch(Generic[T]):
    """The image, the box in pixels and the activation of a top-activating patch."""

    source: T
    box: tuple[int, int, int, int]  # (left, top, right, bottom), ends excluded
    side: float  # longer side of the patch before it is clipped at the image's edges
    activation: float


@dataclass
class Best(Generic[T]):
    """Keep the `count` images with the highest peak of each channel; one peak per image and channel.

    Stores peak, unit and image number for each channel and rank, and the sources of images that are still ranked:
    under 1 MB for 2048 channels × 9 patches.
    """

    channels: int
    count: int
    images: int = 0
    energy: NDArray[np.float64] = field(init=False)
    peaks: NDArray[np.float32] = field(init=False)  # (channels, count), descending; -inf where empty
    _units: NDArray[np.int32] = field(init=False)  # (channels, count, 2): row, column
    _numbers: NDArray[np.int64] = field(init=False)
    _sources: dict[int, tuple[T, View, tuple[int, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (self.channels, self.count)
        self.energy = np.zeros(self.channels)
        self.peaks = np.full(shape, -np.inf, np.float32)
        self._units, self._numbers = np.zeros((*shape, 2), np.int32), np.full(shape, -1, np.int64)

    def add(self, source: T, view: View, maps: NDArray[np.float32]) -> None:
        """Add one image's maps (c, h, w), all finite; of equal peaks the earlier image is kept."""
        flat = maps.reshape(self.channels, -1)
        self.energy += np.square(flat, dtype=np.float64).mean(1)
        position = flat.argmax(1)
        peak = flat[np.arange(self.channels), position]
        better = np.flatnonzero(peak > self.peaks[:, -1])
        if len(better):
            rows, columns = np.divmod(position[better], maps.shape[2])
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
        """Return the channels in descending order of mean square or highest peak; inactive channels are left out."""
        scores = self.energy if rank == "energy" else self.peaks[:, 0].astype(np.float64)
        return [int(k) for k in np.argsort(-scores, kind="stable") if self.energy[k] > 0]

    def patches(self, channel: int, look: Look) -> list[Patch[T]]:
        """Return the channel's patches, strongest first; images in which the channel is zero have none."""
        patches = []
        for rank in np.flatnonzero(self._numbers[channel] >= 0):
            activation = float(self.peaks[channel, rank])
            if self.energy[channel] > 0 and activation != 0:
                source, view, grid = self._sources[int(self._numbers[channel, rank])]
                row, column = (int(cell) for cell in self._units[channel, rank])
                patches.append(Patch(source, *look.box(view, grid, row, column), activation))
        return patches


@dataclass(frozen=True)
class Look:
    """Extent of patches: the theoretical receptive field, a square with the side of the effective one, or the input."""

    field: Field | None = None
    side: float = 0.0

    def words(self, input_size: tuple[int, int]) -> str:
        """Describe the extent for the caption."""
        full = f"of {input_size[1]}×{input_size[0]} px"
        if self.field:
            most = "up to " if self.field.bound else ""
            size = f"{most}{self.field.size[1]:g}×{self.field.size[0]:g}"
            return f"cropped to the theoretical receptive field, {size} {full}"
        if self.side:
            size = f"{self.side:.0f}×{self.side:.0f}"
            return f"cropped to the effective receptive field (95 % of the gradient), {size} {full}"
        return "whole input: the receptive field is unknown, since the center unit has no gradient"

    def facts(self) -> dict[str, Any]:
        """Return the extent for JSON; sizes are (height, width)."""
        if self.field:
            return {"kind": "theoretical", "size": list(self.field.size)}
        return {"kind": "effective", "size": [self.side, self.side]} if self.side else {"kind": "whole input"}

    @classmethod
    def of(cls, field: Field | None, input_size: tuple[int, int]) -> Look | None:
        """Return the theoretical field if it is known and covers at most half of the input (height, width)."""
        fits = field and not field.whole and field.share(input_size) <= _LARGEST_SHARE
        return cls(field) if fits else None

    def box(self, view: View, grid: tuple[int, int], row: int, column: int) -> tuple[tuple[int, int, int, int], float]:
        """Return the box of a unit's patch in pixels, clipped to input and image, and its longer side before that."""
        width, height = view.size
        if self.field:
            inside = self.field.box(row, column)
        elif self.side:
            x, y = (column + 0.5) * width / grid[1], (row + 0.5) * height / grid[0]
            inside = (x - self.side / 2, y - self.side / 2, x + self.side / 2, y + self.side / 2)
        else:
            inside = (0.0, 0.0, float(width), float(height))
        return box_of(view, inside)


def box_of(view: View, inside: tuple[float, float, float, float]) -> tuple[tuple[int, int, int, int], float]:
    """Return the pixels of a rectangle of the input, clipped to input and image, and its longer side before that."""
    width, height = view.size
    left, top, right, bottom = view.box
    x_scale, y_scale = (right - left) / width, (bottom - top) / height
    limits = view.rectangle
    columns = [left + side * x_scale for side in (inside[0], inside[2])]
    rows = [top + side * y_scale for side in (inside[1], inside[3])]
    x0, x1 = _pixels(columns, limits[0], limits[2])
    y0, y1 = _pixels(rows, limits[1], limits[3])
    return (x0, y0, x1, y1), max(columns[1] - columns[0], rows[1] - rows[0])


def _pixels(ends: Sequence[float], first: int, last: int) -> tuple[int, int]:
    """Round an interval to pixels between `first` and `last`, at least one."""
    start = min(max(round(ends[0]), first), max(first, last - 1))
    return start, max(start + 1, min(round(ends[1]), last))
