"""Faithfulness: does the score depend on the pixels the map highlights? Scores are probabilities of the target class.

Every metric runs at most `forwards` inputs per map through the model; the unchanged image and the image without any
pixel, where curves start or end, are shared by all maps.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from camviz.errors import RequestError
from camviz.metrics import METRICS
from camviz.metrics.case import Batch, Case
from camviz.metrics.imputation import impute
from camviz.metrics.sanity import spearman

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
    if "under map" not in case.memo:
        case.memo["under map"] = _scores(case, len(case.maps), lambda a, b: case.masked[a:b])
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


@_measure("road-morf", paper="arXiv:2202.00449", better="lower", measured="by name")
def road_morf(case: Case, *, percentiles: int = 9, noise: float = 0.01) -> NDArray[np.float64]:
    """The mean score with the most relevant pixels removed first, as in road."""
    return np.asarray(_road(case, percentiles, noise)[:, 0].mean(1))


@_measure("road-lerf", paper="arXiv:2202.00449", better="higher", measured="by name")
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


@_measure("single-deletion", paper="arXiv:2407.11910", better="higher")
def single_deletion(case: Case, *, grid: int = 4, end: str = "mean") -> NDArray[np.float64]:
    """Rank correlation of the map's sums over patches with the drops of the score when each patch alone is deleted.

    IDSDS (Hesse et al. 2024) without its fine-tuned model: `grid` × `grid` patches, Spearman's correlation.
    Removing little at a time keeps the inputs close to images. `end`: the replacement, as in deletion.
    """
    import torch

    (height, width), device = case.inputs.shape[1:], case.inputs.device
    side = max(1, min(grid, math.isqrt(case.forwards - 1), height, width))
    rows, columns = (torch.arange(size, device=device) * side // size for size in (height, width))
    patches = rows[:, None] * side + columns  # (H, W): the number of each pixel's patch
    empty = _empty(case, end)

    def batch(start: int, stop: int) -> Tensor:
        deleted = patches == torch.arange(start, stop, device=device)[:, None, None]
        return torch.where(deleted[:, None], empty, case.inputs)

    drops = (case.original - _scores(case, side * side, batch)).astype(np.float32)
    sums = [np.bincount(patches.flatten().cpu(), values.flatten().cpu(), side * side) for values in case.wide]
    return np.array([spearman(each.astype(np.float32), drops) for each in sums])


@partial(METRICS.add, family="faithfulness", needs="new maps")(
    "arcc", paper="arXiv:2605.14641", better="higher", measured="by name"
)
def arcc(case: Case, *, percentiles: int = 9, noise: float = 0.01) -> NDArray[np.float64]:
    """Harmonic mean of coherency, 1 - complexity and ROAD, each in [0, 1]: a single number to rank methods by.

    Coherency: Pearson's correlation of the map with the map of the image masked by it, from [-1, 1] to [0, 1].
    Complexity: the mean of the map's positive part scaled to [0, 1]. ROAD: 2 · road, cut to [0, 1]. The first two are
    those of Poppi et al. 2021 (arXiv:2104.10252). 0 where a part is 0, as for a blank map.
    """
    maps = [maps[k] for k, maps in enumerate(case.again(case.masked))]
    again = case.scaled(maps)
    parts = np.empty((3, len(maps)))
    for k, (first, second) in enumerate(zip(case.shares, again, strict=True)):
        centered = [(values - values.mean()).double().flatten() for values in (first, second)]
        length = float(centered[0].norm() * centered[1].norm())
        correlation = float(centered[0] @ centered[1]) / length if length > 0 else 0.0
        parts[:2, k] = (correlation + 1) / 2, 1 - float(first.mean())
    parts[2] = np.clip(2 * road(case, percentiles=percentiles, noise=noise), 0, 1)
    with np.errstate(divide="ignore"):
        return np.asarray(3 / (1 / parts).sum(0))
