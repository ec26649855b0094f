"""How layer outputs become maps, inferred from the shapes of one forward: plain, channels last, or tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from torch import nn

from camviz.models.survey import LayerRun, Survey
from camviz.models.token_order import out_of_order
from camviz.types import Layer

_MOST_PREFIX = 16  # class, distillation and register tokens together
_Grid = tuple[int, int]


class Layouts:
    """The layouts of a surveyed model, inferred from shapes and the modules that returned them.

    Features are on the last axis where a Linear or a LayerNorm returned the output. Tokens are a grid in reading
    order behind a prefix: the grid is that of one of the model's feature maps (of its patch embedding, for example),
    or an earlier token grid merged by two to four; the prefix is the remainder.
    """

    def __init__(self, module: nn.Module, seen: Survey) -> None:
        self.input_size = seen.input_size
        self._frames = int(getattr(module, "clip_frames", 1))
        self.scattered = frozenset(_in_units(module, seen))
        self._hint = int(getattr(module, "num_prefix_tokens", -1) or 0)
        self._featured = {run.shape[:-1] for run in seen.layers if run.batched and _on_last_axis(module, run)}
        self._grids: list[_Grid] = []
        self._tokens: dict[int, tuple[_Grid, int]] = {}
        for run in seen.layers:
            layer = self._gridded(run) if run.batched else None
            if layer:
                size = run.shape[1:] if layer.layout in ("plain", "clip") else run.shape[:-1]
                self._note((math.prod(size[:-1]), size[-1]))
        latest: _Grid | None = None
        for run in seen.layers:
            if run.batched and len(run.shape) == 2 and run.shape[:1] in self._featured:
                latest = self._find(run.shape[0], latest) or latest
        tokens = [(run, layer) for run in seen.layers if len(run.shape) == 2 and (layer := self.layer(run))]
        self.scattered |= out_of_order(module, seen, tokens)

    def layer(self, run: LayerRun) -> Layer | None:
        """Return how the output of `run` becomes maps; None when it has no grid."""
        layer = self._laid_out(run) if run.batched else None
        return replace(layer, run=run.image_run) if layer and run.image_run else layer

    def _laid_out(self, run: LayerRun) -> Layer | None:
        if len(run.shape) > 2:
            return self._gridded(run)
        if len(run.shape) == 2 and run.shape[0] in self._tokens and run.path not in self.scattered:
            (h, w), prefix = self._tokens[run.shape[0]]
            patch = (_share(self.input_size[0], h), _share(self.input_size[1], w))
            return Layer(run.path, "tokens", prefix, patch, run.shape)
        return None

    def _gridded(self, run: LayerRun) -> Layer | None:
        """Return the layout of an output with spatial axes."""
        if self._frames == 1:
            return self._shaped(run) if len(run.shape) == 3 else None
        return self._clip(run) if len(run.shape) == 4 else None

    def _clip(self, run: LayerRun) -> Layer | None:
        """Return the layout of an output with four axes, one of them time."""
        first, second, third, fourth = run.shape
        plain = self._like_input(third, fourth) and second <= self._frames
        last = self._like_input(second, third) and first <= self._frames
        if plain and last:
            last = run.shape[:3] in self._featured and not run.kind.lower().endswith("3d")
        if last:
            return Layer(run.path, "clip_last", shape=run.shape)
        return Layer(run.path, "clip", shape=run.shape) if plain else None

    def _shaped(self, run: LayerRun) -> Layer | None:
        """Return the layout of an output with three axes; a grid has the proportions of the input."""
        first, second, third = run.shape
        if second == third and (second,) in self._featured:
            return None  # an attention matrix, token × token
        plain, last = self._like_input(second, third), self._like_input(first, second)
        if plain and last:  # as many channels as rows: the module decides
            last = (first, second) in self._featured and not run.kind.lower().endswith("2d")
        if last:
            return Layer(run.path, "channels_last", shape=run.shape)
        return Layer(run.path, "plain", shape=run.shape) if plain else None

    def _like_input(self, height: int, width: int) -> bool:
        """Return whether (height, width) has the proportions of the input or its frames, up to one cell."""
        full_height, full_width = self.input_size[0] // self._frames, self.input_size[1]
        return abs(height * full_width - width * full_height) <= max(full_height, full_width)

    def _note(self, grid: _Grid) -> None:
        if grid not in self._grids and grid[0] * grid[1] > 1:
            self._grids.append(grid)

    def _find(self, count: int, before: _Grid | None) -> _Grid | None:
        """Find and record the grid of `count` tokens; `before` is the grid of the preceding tokens."""
        if count not in self._tokens:
            fits = self._fits(count, self._grids) or self._fits(count, _merged(before)) or self._fits(count, self._cut)
            if not fits:
                return None
            self._tokens[count] = fits[0]
            self._note(fits[0][0])
        return self._tokens[count][0]

    def _fits(self, count: int, grids: list[_Grid]) -> list[tuple[_Grid, int]]:
        """Return the (grid, prefix) pairs with that many tokens, the most plausible first."""
        fits = [((h, w), count - h * w) for h, w in grids if 0 <= count - h * w <= min(_MOST_PREFIX, h * w - 1)]
        return sorted(fits, key=lambda fit: (fit[1] != self._hint, fit[1]))

    @property
    def _cut(self) -> list[_Grid]:
        """Grids of patches cut without a convolution; none where feature maps show the grid."""
        height, width = self.input_size
        return [] if self._grids else [(height // side, width // side) for side in range(4, min(height, width) // 2)]


def _in_units(module: nn.Module, seen: Survey) -> Iterator[str]:
    """Yield the layers whose tokens are in the order of mask units (Hiera, arXiv:2306.00989), not of positions.

    Each pooling shrinks the units; with one token per unit the order is the reading order.
    """
    units = [path for path, part in module.named_modules() if type(part).__name__.endswith("MaskUnitAttention")]
    blocks = tuple(f"{path.rpartition('.')[0]}." for path in units)
    inside = [run for run in seen.layers if run.path.startswith(blocks) and len(run.shape) == 2] if blocks else []
    fewest = min((run.shape[0] for run in inside), default=0)
    begun = False
    for run in seen.layers if inside else ():
        begun = begun or run.kind == "Unroll" or run.path.startswith(blocks[0])
        if begun and len(run.shape) == 2 and run.shape[0] > fewest:
            yield run.path


def _on_last_axis(module: nn.Module, run: LayerRun) -> bool:
    part = module.get_submodule(run.path)
    if isinstance(part, nn.LayerNorm):
        return not run.kind.lower().endswith("2d")  # these permute the axes themselves
    return isinstance(part, (nn.Linear, nn.RMSNorm))


def _merged(grid: _Grid | None) -> list[_Grid]:
    """Return the grids whose cells are 2×2 to 4×4 cells of this one."""
    if grid is None:
        return []
    grids = []
    for step in (2, 3, 4):
        grids += [(-(-grid[0] // step), -(-grid[1] // step)), (grid[0] // step, grid[1] // step)]
    return [(h, w) for h, w in grids if h * w > 1]


def _share(length: int, cells: int) -> float:
    """Return the pixels per cell, as an integer where it is whole."""
    return length // cells if length % cells == 0 else length / cells
