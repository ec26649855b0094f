"""How the outputs of a model become maps, read from what one forward gave: plain, channels last, or tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

from camviz.models.survey import Seen, Survey
from camviz.types import Layer

_MOST_PREFIX = 16  # class, distillation and register tokens together
_Grid = tuple[int, int]


class Layouts:
    """The layouts of a surveyed model; nothing is known of it but shapes, and which modules gave them.

    Features lie on the last axis where a Linear or a LayerNorm gave the output. Tokens are a grid in reading order
    behind a prefix: the grid is one that the model's feature maps have (that of its patch embedding, say), or a
    token grid before it merged by two to four; the prefix is what is left over.
    """

    def __init__(self, module: nn.Module, seen: Survey) -> None:
        self.input_size = seen.input_size
        self._frames = int(getattr(module, "clip_frames", 1))
        self.scattered = frozenset(_in_units(module, seen))
        self._hint = int(getattr(module, "num_prefix_tokens", -1) or 0)
        self._featured = {one.shape[:-1] for one in seen.layers if one.batched and _on_last_axis(module, one)}
        self._grids: list[_Grid] = []
        self._tokens: dict[int, tuple[_Grid, int]] = {}
        for one in seen.layers:
            layer = self._gridded(one) if one.batched else None
            if layer:
                size = one.shape[1:] if layer.layout in ("plain", "clip") else one.shape[:-1]
                self._note((math.prod(size[:-1]), size[-1]))
        latest: _Grid | None = None
        for one in seen.layers:
            if one.batched and len(one.shape) == 2 and one.shape[:1] in self._featured:
                latest = self._find(one.shape[0], latest) or latest

    def layer(self, one: Seen) -> Layer | None:
        """How the output of `one` becomes maps; None when it has no grid."""
        if not one.batched:
            return None
        if len(one.shape) > 2:
            return self._gridded(one)
        if len(one.shape) == 2 and one.shape[0] in self._tokens and one.path not in self.scattered:
            (h, w), prefix = self._tokens[one.shape[0]]
            patch = (_share(self.input_size[0], h), _share(self.input_size[1], w))
            return Layer(one.path, "tokens", prefix, patch, one.shape)
        return None

    def _gridded(self, one: Seen) -> Layer | None:
        """The layout of an output with axes for places."""
        if self._frames == 1:
            return self._shaped(one) if len(one.shape) == 3 else None
        return self._clip(one) if len(one.shape) == 4 else None

    def _clip(self, one: Seen) -> Layer | None:
        """The layout of an output with four axes, one of them time."""
        first, second, third, fourth = one.shape
        plain = self._like_input(third, fourth) and second <= self._frames
        last = self._like_input(second, third) and first <= self._frames
        if plain and last:
            last = one.shape[:3] in self._featured and not one.kind.lower().endswith("3d")
        if last:
            return Layer(one.path, "clip_last", shape=one.shape)
        return Layer(one.path, "clip", shape=one.shape) if plain else None

    def _shaped(self, one: Seen) -> Layer | None:
        """The layout of an output with three axes: those that are a grid have the input's proportions."""
        first, second, third = one.shape
        if second == third and (second,) in self._featured:
            return None  # attention: every token to every token
        plain, last = self._like_input(second, third), self._like_input(first, second)
        if plain and last:  # as many channels as rows: who made it?
            last = (first, second) in self._featured and not one.kind.lower().endswith("2d")
        if last:
            return Layer(one.path, "channels_last", shape=one.shape)
        return Layer(one.path, "plain", shape=one.shape) if plain else None

    def _like_input(self, height: int, width: int) -> bool:
        """Whether (height, width) has the proportions of the input, or of its frames, give or take one cell."""
        full_height, full_width = self.input_size[0] // self._frames, self.input_size[1]
        return abs(height * full_width - width * full_height) <= max(full_height, full_width)

    def _note(self, grid: _Grid) -> None:
        if grid not in self._grids and grid[0] * grid[1] > 1:
            self._grids.append(grid)

    def _find(self, count: int, before: _Grid | None) -> _Grid | None:
        """The grid of so many tokens, noted; `before` is that of the tokens before them."""
        if count not in self._tokens:
            fits = self._fits(count, self._grids) or self._fits(count, _merged(before)) or self._fits(count, self._cut)
            if not fits:
                return None
            self._tokens[count] = fits[0]
            self._note(fits[0][0])
        return self._tokens[count][0]

    def _fits(self, count: int, grids: list[_Grid]) -> list[tuple[_Grid, int]]:
        """(grid, prefix) for which the count comes out, the likeliest first."""
        found = [((h, w), count - h * w) for h, w in grids if 0 <= count - h * w <= min(_MOST_PREFIX, h * w - 1)]
        return sorted(found, key=lambda fit: (fit[1] != self._hint, fit[1]))

    @property
    def _cut(self) -> list[_Grid]:
        """Grids of patches cut without a convolution; none where feature maps told the grid."""
        height, width = self.input_size
        return [] if self._grids else [(height // side, width // side) for side in range(4, min(height, width) // 2)]


def _in_units(module: nn.Module, seen: Survey) -> Iterator[str]:
    """Layers of tokens in the order of mask units (Hiera, arXiv:2306.00989), not in that of places.

    Each pooling makes the units smaller; where one token of each is left they lie in reading order.
    """
    units = [path for path, part in module.named_modules() if type(part).__name__.endswith("MaskUnitAttention")]
    blocks = tuple(f"{path.rpartition('.')[0]}." for path in units)
    inside = [one for one in seen.layers if one.path.startswith(blocks) and len(one.shape) == 2] if blocks else []
    fewest = min((one.shape[0] for one in inside), default=0)
    begun = False
    for one in seen.layers if inside else ():
        begun = begun or one.kind == "Unroll" or one.path.startswith(blocks[0])
        if begun and len(one.shape) == 2 and one.shape[0] > fewest:
            yield one.path


def _on_last_axis(module: nn.Module, one: Seen) -> bool:
    part = module.get_submodule(one.path)
    if isinstance(part, nn.LayerNorm):
        return not one.kind.lower().endswith("2d")  # these turn the axes themselves
    return isinstance(part, (nn.Linear, nn.RMSNorm))


def _merged(grid: _Grid | None) -> list[_Grid]:
    """Grids whose cells are 2×2 to 4×4 cells of this one."""
    if grid is None:
        return []
    found = []
    for step in (2, 3, 4):
        found += [(-(-grid[0] // step), -(-grid[1] // step)), (grid[0] // step, grid[1] // step)]
    return [(h, w) for h, w in found if h * w > 1]


def _share(length: int, cells: int) -> float:
    """Pixels per cell, a whole number where it is one."""
    return length // cells if length % cells == 0 else length / cells
