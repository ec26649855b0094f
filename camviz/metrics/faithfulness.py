"""Faithfulness: does the score depend on the pixels the map highlights? Scores are probabilities of the target class.

Every metric runs at most `forwards` inputs per map through the model; the unchanged image and the image without any
pixel, where curves start or end, are shared by all maps.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from camviz.errors import RequestError
from camviz.metrics import METRICS
from camviz.metrics.case import Batch, Case
from camviz.metrics.imputation import impute

if TYPE_CHECKING:
    from torch import Tensor

_measure = partial(METRICS.add, family="faithfulness", needs="forwards")
_GRAYS = {"black": 0.0, "white": 1.0}


@_measure("insertion", paper="arXiv:1806.07421", better="higher")
def insertion(case: Case, *, start: str = "blur") -> NDArray[np.float64]:
    """Area under the score while pixels are inserted into a blurred image, the most relevant first.

    RISE (Petsiuk et al. 2018, sec. 4.1). `start`: blur (Gaussian of 5/224 of the short side, as theirs), or
    black, white, mean. Trapezoidal area over the fraction of pixels inserted.
    """
    return _area(case, _empty(case, start), inserting=True)


@_measure("deletion", paper="arXiv:1806.07421", better="lower")
def deletion(case: Case, *, end: str = "mean") -> NDArray[np.float64]:
    """Area under the score while pixels are deleted, the most relevant first.

    RISE (Petsiuk et al. 2018, sec. 4.1). `end`: the replacement, mean (zero after normalization, as theirs), or
    black, white, blur.
    """
    return _area(case, _empty(case, end), inserting=False)


def _empty(case: Case, name: str) -> Tensor:
    """Return the image without any of its pixels: (c, H, W)."""
    if name == "blur":
        return blurred(case.inputs, 5 / 224 * min(case.inputs.shape[1:]))
    if name == "mean":
        return 0 * case.inputs
    if name in _GRAYS:
        return case.gray(_GRAYS[name]).expand_as(case.inputs)
    raise RequestError(f"no replacement '{name}' for pixels", "use blur, mean, black or white")


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Return an image (c, H, W) blurred by a Gaussian of `sigma` pixels, mirrored at the border."""
    import torch
    from torch.nn import functional as F

    reach = min(max(1, round(3 * sigma)), min(image.shape[1:]) - 1)
    offsets = torch.arange(-reach, reach + 1, device=image.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None].float(), (reach, reach, reach, reach), mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel[None, None, :, None]), kernel[None, None, None])[:, 0]


def _area(case: Case, empty: Tensor, inserting: bool) -> NDArray[np.float64]:
    """Return the area under each map's curve, over the fraction of changed pixels from 0 to 1 in equal steps."""
    import torch

    pixels = case.ranks.shape[1]
    counts = np.unique(np.linspace(0, pixels, case.forwards).round().astype(int))
    inner = torch.as_tensor(counts[1:-1], device=case.inputs.device)
    shape = case.inputs.shape[1:]

    def batch(start: int, stop: int) -> Tensor:
        index = torch.arange(start, stop, device=inner.device)
        chosen = case.ranks[index // len(inner)] < inner[index % len(inner)][:, None]
        original = (chosen if inserting else ~chosen).reshape(-1, 1, *shape)
        return torch.where(original, case.inputs, empty)

    curves = np.empty((len(case.maps), len(counts)))
    first, last = (_score(case, empty), case.original) if inserting else (case.original, _score(case, empty))
    curves[:, 0], curves[:, -1] = first, last
    case.left["insertion" if inserting else "deletion"] = (first if inserting else last) / max(case.original, 1e-12)
    if len(inner):
        curves[:, 1:-1] = _scores(case, len(case.maps) * len(inner), batch).reshape(len(case.maps), -1)
    steps = np.diff(counts) / pixels
    return np.asarray(((curves[:, 1:] + curves[:, :-1]) / 2 * steps).sum(1))


def _scores(case: Case, total: int, batch: Batch) -> NDArray[np.float64]:
    return case.score(total, batch).double().cpu().numpy()


def _score(case: Case, image: Tensor) -> float:
    return float(_scores(case, 1, lambda *_: image[None])[0])


def _under_map(case: Case) -> NDArray[np.float64]:
    """Return O: the score of the image (before normalization) multiplied by each map scaled to [0, 1]."""
    black = case.gray(0)
    if "under map" not in case.memo:
        case.memo["under map"] = _scores(
            case, len(case.maps), lambda a, b: black + case.shares[a:b] * (case.inputs - black)
        )
    return case.memo["under map"]


@_measure("average-drop", paper="arXiv:1710.11063", better="lower")
def average_drop(case: Case) -> NDArray[np.float64]:
    """max(0, Y - O) / Y: the fraction of the score that is lost when the image is masked by the map.

    Grad-CAM++ (Chattopadhay et al. 2018, sec. 4.1). Y is the score of the image, O that of the image times the
    map's positive part from 0 to 1.
    """
    return np.maximum(0, case.original - _under_map(case)) / max(abs(case.original), 1e-12)


@_measure("increase", paper="arXiv:1710.11063", better="higher")
def increase(case: Case) -> NDArray[np.float64]:
    """1 where the score rises when the image is masked by the map, else 0: increase in confidence.

    Grad-CAM++ (Chattopadhay et al. 2018, sec. 4.1), with Y and O as in average-drop.
    """
    return (_under_map(case) > case.original).astype(float)


@_measure("road", paper="arXiv:2202.00449", better="higher")
def road(case: Case, *, percentiles: int = 9, noise: float = 0.01) -> NDArray[np.float64]:
    """(LeRF - MoRF) / 2: the score with the least relevant pixels removed minus that with the most relevant removed.

    ROAD (Rong et al. 2022): 10 %, 20 %, … 90 % of the pixels are replaced by the weighted mean of their neighbors
    plus a little noise; the mean over these fractions. It needs no retraining, and masks leave no visible edges.
    """
    curves = _road(case, percentiles, noise)
    return np.asarray((curves[:, 1].mean(1) - curves[:, 0].mean(1)) / 2)


@_measure("road-morf", part="road", paper="arXiv:2202.00449", better="lower")
def road_morf(case: Case, *, percentiles: int = 9, noise: float = 0.01) -> NDArray[np.float64]:
    """The mean score with the most relevant pixels removed first, as in road."""
    return np.asarray(_road(case, percentiles, noise)[:, 0].mean(1))


@_measure("road-lerf", part="road", paper="arXiv:2202.00449", better="higher")
def road_lerf(case: Case, *, percentiles: int = 9, noise: float = 0.01) -> NDArray[np.float64]:
    """The mean score with the least relevant pixels removed first, as in road."""
    return np.asarray(_road(case, percentiles, noise)[:, 1].mean(1))


def _road(case: Case, percentiles: int, noise: float) -> NDArray[np.float64]:
    """Return the scores (k, 2, percentiles): most relevant removed first, least relevant removed first."""
    import torch

    levels = max(1, min(percentiles, case.forwards // 2))
    key = ("road", levels, noise)
    if key in case.memo:
        return case.memo[key]
    (height, width), device = case.inputs.shape[1:], case.inputs.device
    pixels = height * width
    counts = torch.arange(1, levels + 1, device=device) * pixels // (levels + 1)
    dust = noise * torch.randn(case.inputs.shape, generator=case.generator(2)).to(device)

    def batch(start: int, stop: int) -> Tensor:
        index = torch.arange(start, stop, device=device)
        places, least = case.ranks[index // (2 * levels)], (index // levels % 2 == 1)[:, None]
        count = counts[index % levels][:, None]
        removed = torch.where(least, places >= pixels - count, places < count).reshape(-1, height, width)
        return impute(case.inputs, removed) + removed[:, None] * dust

    case.memo[key] = _scores(case, len(case.maps) * 2 * levels, batch).reshape(-1, 2, levels)
    return case.memo[key]
