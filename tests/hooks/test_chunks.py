"""Memory that runs out halves the pieces."""

from itertools import pairwise

import pytest
import torch


def test_memory_running_out_halves_the_pieces_and_is_remembered():
    from camviz.hooks.chunks import Chunks

    seen = []

    def compute(start, stop):
        seen.append((start, stop))
        if stop - start > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.arange(start, stop)

    ticks = []
    chunks = Chunks(8, lambda done, total: ticks.append((done, total)))
    assert chunks.run(5, compute).tolist() == [0, 1, 2, 3, 4]
    assert seen == [(0, 5), (0, 4), (0, 2), (2, 4), (4, 5)]
    assert chunks.size == 2
    assert ticks == [(2, 5), (4, 5), (5, 5)]
    assert all(a < b for a, b in pairwise(done for done, _ in ticks))
    with pytest.raises(RuntimeError, match="another"):
        chunks.run(4, lambda *_: (_ for _ in ()).throw(RuntimeError("another error")))
    assert chunks.size == 2


def test_memory_that_is_never_enough_is_an_error():
    from camviz.hooks.chunks import Chunks

    def fail(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(RuntimeError, match="allocate"):
        Chunks(4).run(4, fail)
