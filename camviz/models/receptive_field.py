"""Theoretical receptive fields: the input rectangle that a unit depends on, and how operations enlarge it."""

from __future__ import annotations

from dataclasses import dataclass, replace

Pair = tuple[float, float]  # (down, across)


@dataclass(frozen=True)
class Field:
    """Theoretical receptive fields of a layer's units, in pixels of the model's input, as (vertical, horizontal).

    Unit (row, column) sees `size` pixels from `first + (row, column) · jump`; `first` is negative with padding.
    `whole`: every unit sees the whole input. `gated`: all units also share a factor or statistic of the whole input
    (squeeze-and-excitation, group normalization). `bound`: `size` is an upper bound (window attention: it depends on
    the position of the unit in its window). `axes` are the grid's axes in the tensor.
    """

    size: Pair = (1.0, 1.0)
    jump: Pair = (1.0, 1.0)
    first: Pair = (0.0, 0.0)
    whole: bool = False
    gated: bool = False
    bound: bool = False
    axes: tuple[int, ...] = (2, 3)

    @property
    def center(self) -> Pair:
        """Center of the receptive field of unit (0, 0); pixel centers are at 0.5."""
        return self.first[0] + self.size[0] / 2, self.first[1] + self.size[1] / 2

    def box(self, row: float, column: float) -> tuple[float, float, float, float]:
        """Return (left, top, right, bottom) of a unit's receptive field; with padding it may exceed the input."""
        top, left = self.first[0] + row * self.jump[0], self.first[1] + column * self.jump[1]
        return left, top, left + self.size[1], top + self.size[0]

    def share(self, input_size: tuple[int, int]) -> float:
        """Return the fraction of an input (height, width) that the center unit sees, in [0, 1]."""
        if self.whole:
            return 1.0
        vertical, horizontal = (min(size, full) / full for size, full in zip(self.size, input_size, strict=True))
        return vertical * horizontal

    def slide(self, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Field:
        """Return the field after a sliding window: it grows by (kernel - 1) · dilation cells of the previous grid."""
        if self.whole:
            return self
        reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        return replace(
            self,
            size=(self.size[0] + reach[0] * self.jump[0], self.size[1] + reach[1] * self.jump[1]),
            jump=(self.jump[0] * stride[0], self.jump[1] * stride[1]),
            first=(self.first[0] - padding[0] * self.jump[0], self.first[1] - padding[1] * self.jump[1]),
        )


GATE = Field(whole=True, axes=())  # one value for the whole input
ATTENDED = Field(whole=True, axes=(-1,))  # a grid whose units each see the whole input


def union(fields: list[Field]) -> Field | None:
    """Return the field of a unit computed from several: the bounding box; None if the grids differ.

    A gate that is broadcast over a grid does not change the rectangle.
    """
    placed = [field for field in fields if not field.whole]
    if ATTENDED in fields:
        return ATTENDED
    if not placed:
        return GATE
    if len({(field.jump, field.axes) for field in placed}) > 1:
        return None
    first = (min(field.first[0] for field in placed), min(field.first[1] for field in placed))
    height, width = (max(field.first[k] + field.size[k] for field in placed) - first[k] for k in (0, 1))
    gated = len(placed) < len(fields) or any(field.gated for field in placed)
    bound = any(field.bound for field in placed)
    return replace(placed[0], size=(height, width), first=first, gated=gated, bound=bound)
