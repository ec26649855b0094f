"""Robustness: does the map stay when the image hardly changes?"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from camviz.metrics import METRICS
from camviz.metrics.case import Case


@partial(METRICS.add, family="robustness", needs="new maps")("sensitivity", paper="arXiv:1901.09392", better="lower")
def sensitivity(case: Case, *, samples: int = 8, radius: float = 0.02) -> NDArray[np.float64]:
    """Max-sensitivity: how far the map moves, at most, under small noise, as a share of its own length.

    max over samples of |Φ(x + δ) - Φ(x)| / |Φ(x)|, every color of every pixel moved by up to `radius` of full scale:
    Yeh et al. 2019, definition 4, estimated by sampling. NaN for a map of zeros.
    """
    import torch

    device = case.inputs.device
    chance = torch.rand((samples, *case.inputs.shape), generator=case.generator(3)).to(device)
    noise = (2 * chance - 1) * radius / case.inputs.new_tensor(case.std)[:, None, None]
    found = case.again(case.inputs + noise)
    lengths = [float(np.linalg.norm(values)) for values in case.maps]
    worst = [
        max(float(np.linalg.norm(maps[k] - values)) for maps in found) / length if length > 0 else np.nan
        for k, (values, length) in enumerate(zip(case.maps, lengths, strict=True))
    ]
    return np.array(worst)
