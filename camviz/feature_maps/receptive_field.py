"""The rectangle of the input that a unit of a layer can see, and how it grows from operation to operation."""

from __future__ import annotations

from dataclasses import dataclass, replace

Pair = tuple[float, float]  # (down, across)


@dataclass(frozen=True)
class Field:
    """Theoretical receptive fields of a layer's units, in pixels of the model's input, (down, across).

    Unit (row, column) sees `size` pixels from `first + (row, column) · jump` on; `first` is negative by what padding
    adds. `whole`: every unit sees the whole input. `gated`: besides, all units share a factor or a statistic that
    comes from the whole input (squeeze-and-excitation, group normalization). `bound`: no unit sees more than that, most
    see less (attention in windows: how far depends on the unit's place in its own). `axes` are those of the grid.
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
        """The middle of what unit (0, 0) sees; a pixel's own middle is at 0.5."""
        return self.first[0] + self.size[0] / 2, self.first[1] + self.size[1] / 2

    def box(self, row: float, column: float) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of what a unit sees; padding included, so it may reach beyond the input."""
        top, left = self.first[0] + row * self.jump[0], self.first[1] + column * self.jump[1]
        return left, top, left + self.size[1], top + self.size[0]

    def share(self, input_size: tuple[int, int]) -> float:
        """How much of an input (height, width) a unit in its middle sees, from 0 to 1."""
        if self.whole:
            return 1.0
        down, across = (min(own, full) / full for own, full in zip(self.size, input_size, strict=True))
        return down * across

    def slide(self, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Field:
        """After a sliding window: the field grows by (kernel - 1) · dilation cells of the grid before it."""
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
ATTENDED = Field(whole=True, axes=(-1,))  # a grid, each unit of which has seen the whole input


def union(fields: list[Field]) -> Field | None:
    """What a unit made of several sees: the smallest rectangle with all of theirs; None where the grids do not agree.

    A gate that is spread over a grid has no place there, so it leaves the rectangle as it is.
    """
    placed = [one for one in fields if not one.whole]
    if ATTENDED in fields:
        return ATTENDED
    if not placed:
        return GATE
    if len({(one.jump, one.axes) for one in placed}) > 1:
        return None
    first = (min(one.first[0] for one in placed), min(one.first[1] for one in placed))
    down, across = (max(one.first[k] + one.size[k] for one in placed) - first[k] for k in (0, 1))
    gated = len(placed) < len(fields) or any(one.gated for one in placed)
    bound = any(one.bound for one in placed)
    return replace(placed[0], size=(down, across), first=first, gated=gated, bound=bound)
