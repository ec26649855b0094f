"""Many forwards in chunks that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from camviz.hooks.bn_folding import Pair


def _nobody(_done: int, _total: int) -> None:
    pass


@dataclass
class Chunks:
    """How many inputs go through the model at once (halved when memory runs out), memory format, folded pairs."""

    size: int
    tick: Callable[[int, int], None] = _nobody
    layout: torch.memory_format = torch.channels_last
    pairs: Sequence[Pair] | None = None  # None: not searched for yet

    def run(self, total: int, compute: Callable[[int, int], Tensor]) -> Tensor:
        """Return `compute(start, stop)` over chunks of range(total), concatenated along the first axis."""
        parts: list[Tensor] = []
        start = 0
        while start < total:
            stop = min(start + self.size, total)
            try:
                parts.append(compute(start, stop))
            except RuntimeError as error:
                if self.size == 1 or not out_of_memory(error):
                    raise
                self.size //= 2
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            start = stop
            self.tick(start, total)
        return torch.cat(parts)


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the device or the machine is out of memory."""
    text = str(error).lower()
    return (
        isinstance(error, (torch.OutOfMemoryError, MemoryError))
        or "not enough memory" in text
        or "can't allocate memory" in text
        or "insufficient memory" in text  # of OpenCV
    )
