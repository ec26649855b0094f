"""Cases whose scores can be computed by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from camviz.metrics.case import Case
from camviz.types import View


@pytest.fixture
def case() -> Callable[..., Case]:
    """`case([[0, 1]], [map, …])`: an image of one color (black is 0, white is 1), scored by its sum or by `score`."""

    def build(pixels, maps, score=None, truth=None, **fields) -> Case:
        image = torch.tensor(pixels, dtype=torch.float32)[None]
        height, width = image.shape[1:]
        seen: list[int] = []

        def scores(total, batch):
            seen.append(total)
            inputs = batch(0, total)
            assert inputs.shape == (total, 1, height, width)
            return score(inputs) if score else inputs.sum((1, 2, 3))

        made = Case(
            image,
            [np.asarray(one, np.float32) for one in maps],
            View((width, height), (0, 0, width, height), (width, height)),
            scores,
            fields.pop("again", lambda inputs: []),
            fields.pop("randomized", list),
            (0.0,),
            (1.0,),
            truth=None if truth is None else np.asarray(truth, bool),
            **fields,
        )
        made.seen = seen
        return made

    return build
