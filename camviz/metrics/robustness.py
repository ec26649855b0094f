"""Robustness: does the map change under small noise on the image?"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from camviz.metrics import METRICS
from camviz.metrics.case import Case


@partial(METRICS.add, family="robustness", needs="new maps")("sensitivity", paper="arXiv:1901.09392", better="lower")
def sensitivity(case: Case, *, samples: int = 8, radius: float = 0.02) -> NDArray[np.float64]:
    """Max-sensitivity: the largest relative change of the map under small noise.

    max over samples of |Φ(x + δ) - Φ(x)| / |Φ(x)|, every channel of every pixel changed by up to `radius` of the full
    range: Yeh et al. 2019, definition 4, estimated by sampling. NaN for a map of zeros.
    """
    import torch

    device = case.inputs.device
    chance = torch.rand((samples, *case.inputs.shape), generator=case.generator(3)).to(device)
    noise = (2 * chance - 1) * radius / case.inputs.new_tensor(case.std)[:, None, None]
    noisy = case.again(case.inputs + noise)
    lengths = [float(np.linalg.norm(values)) for values in case.maps]
    worst = [
        max(float(np.linalg.norm(maps[k] - values)) for maps in noisy) / length if length > 0 else np.nan
        for k, (values, length) in enumerate(zip(case.maps, lengths, strict=True))
    ]
    return np.array(worst)
