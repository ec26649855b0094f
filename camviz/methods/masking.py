"""The masking family: hide parts of the image or of the activations and look at the score. No gradients.

Masks multiply the image before normalization: what is hidden is black, not the mean color.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from camviz.errors import ModelError
from camviz.methods import METHODS

if TYPE_CHECKING:
    from torch import Tensor

    from camviz.engine.probe import Probe

_forwards = partial(METHODS.add, family="masking", needs="many forwards")


@_forwards("scorecam", gives="channels", paper="arXiv:1910.01279", cost="1 forward per channel")
def scorecam(probe: Probe, *, score: str = "prob") -> Tensor:
    """Channels weighted by softmax_k(f(X ⊙ N(U(A_k))) - f(black)), f the probability; `score=logit` uses logits."""
    return _mask_cam(probe, score, 1, lambda masks, _seeds, _variants: masks)


@_forwards(
    "sscam",
    aliases=("smoothed-scorecam",),
    gives="channels",
    paper="arXiv:2006.14255",
    cost="`samples` forwards per channel",
)
def sscam(probe: Probe, *, score: str = "prob", samples: int = 10, noise: float = 2.0) -> Tensor:
    """Score-CAM with the score averaged over `samples` masks (0 to 1) plus Gaussian noise of std `noise`."""
    import torch

    def noisy(masks: Tensor, seeds: list[int], _variants: Tensor) -> Tensor:
        drawn = [torch.randn(masks.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return masks + noise * torch.stack(drawn).to(masks)

    return _mask_cam(probe, score, samples, noisy)


@_forwards(
    "iscam",
    aliases=("integrated-scorecam",),
    gives="channels",
    paper="arXiv:2010.03023",
    cost="`samples` forwards per channel",
)
def iscam(probe: Probe, *, score: str = "prob", samples: int = 10) -> Tensor:
    """Score-CAM with the score averaged over the mask's strength, i/samples for i = 1 … samples: never above 1."""
    return _mask_cam(probe, score, samples, lambda masks, _seeds, variants: masks * (variants + 1) / samples)


def _mask_cam(probe: Probe, score: str, variants: int, change: Callable[[Tensor, list[int], Tensor], Tensor]) -> Tensor:
    """Σ_k softmax_k(mean over variants of f(X ⊙ mask_k) - f(black)) A_k, as contributions (n, c, h, w).

    f(black) is the same for all channels and softmax ignores constants, so it is not computed.
    """
    import torch

    channels = probe.activations.shape[1]
    weights = []
    for image, generator in enumerate(probe.generators("masks")):
        maps, seed = probe.activations[image], int(torch.randint(2**40, (), generator=generator))

        def batch(start: int, stop: int, image: int = image, maps: Tensor = maps, seed: int = seed) -> Tensor:
            items = torch.arange(start, stop, device=maps.device)
            masks = probe.upsample(maps[items // variants][:, None])  # (m, 1, H, W)
            low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
            masks = (masks - low) / (high - low).clamp(min=1e-12)
            masks = change(masks, [seed + item for item in range(start, stop)], (items % variants)[:, None, None, None])
            return probe.masked(image, masks)

        scores = probe.score_inputs(image, channels * variants, batch, score)
        weights.append(scores.reshape(channels, variants).mean(1))
    return torch.stack([scores.softmax(0) for scores in weights])[:, :, None, None] * probe.activations


@_forwards(
    "ablationcam",
    gives="channels",
    paper="doi:10.1109/WACV45572.2020.9093360",
    cost="1 forward per channel, of the tail only",
)
def ablationcam(probe: Probe) -> Tensor:
    """Channels weighted by the drop of the score without them: w_k = S - S(A_k = 0)."""
    import torch

    channels = probe.activations.shape[1]
    weights = []
    for image in range(len(probe.targets)):
        maps = probe.activations[image]

        def without(start: int, stop: int, maps: Tensor = maps) -> Tensor:
            items = torch.arange(start, stop, device=maps.device)
            altered = maps.repeat(stop - start, 1, 1, 1)
            altered[items - start, items] = 0
            return altered

        weights.append(probe.scores[image] - probe.score_activations(image, channels, without))
    return torch.stack(weights)[:, :, None, None] * probe.activations


@_forwards(
    "occlusion", aliases=("sliding-window",), paper="arXiv:1311.2901", cost="1 forward per patch position", layer="none"
)
def occlusion(probe: Probe, *, patch: int = 0, stride: int = 0) -> Tensor:
    """Drop of the score under a black patch, averaged over the patches that cover a pixel.

    `patch` and `stride` in pixels of the input; 0 means a seventh of the short side, and half a patch.
    """
    import torch

    height, width = probe.inputs.shape[2:]
    side = min(patch or max(1, min(height, width) // 7), height, width)
    step = stride or max(1, side // 2)
    tops, lefts = (sorted({*range(0, full - side + 1, step), full - side}) for full in (height, width))
    places = [(top, left) for top in tops for left in lefts]

    def hide(start: int, stop: int) -> Tensor:
        masks = probe.inputs.new_ones(stop - start, 1, height, width)
        for mask, (top, left) in zip(masks, places[start:stop], strict=True):
            mask[:, top : top + side, left : left + side] = 0
        return masks

    maps = []
    for image in range(len(probe.targets)):

        def batch(start: int, stop: int, image: int = image) -> Tensor:
            return probe.masked(image, hide(start, stop))

        scores = probe.score_inputs(image, len(places), batch)
        drops = (probe.scores[image] - scores).tolist()
        total, count = torch.zeros(height, width), torch.zeros(height, width)
        for drop, (top, left) in zip(drops, places, strict=True):
            total[top : top + side, left : left + side] += drop
            count[top : top + side, left : left + side] += 1
        maps.append(total / count)
    return torch.stack(maps)


@_forwards("rise", paper="arXiv:1806.07421", cost="`samples` forwards", layer="none")
def rise(probe: Probe, *, samples: int = 1000, cells: int = 7, keep: float = 0.5, score: str = "prob") -> Tensor:
    """Mean of random smooth masks weighted by the score they leave: Σ f(X ⊙ M) M / (samples · keep)."""
    return _random_masks(probe, "rise", samples, cells, keep, score, centered=False)


@_forwards("drise", paper="arXiv:2006.03204", cost="`samples` forwards", layer="none")
def drise(probe: Probe, *, samples: int = 1000, cells: int = 16, keep: float = 0.5, score: str = "prob") -> Tensor:
    """RISE for one detection: masks weighted by the largest IoU · score among detections of its class, minus the mean.

    With the mean subtracted, 0 means that a position has no influence.
    """
    from camviz.tasks.detection import Detection

    ask = probe.reading.passed.ask
    if not isinstance(ask.task, Detection):
        raise ModelError(
            f"method 'drise' explains detections, and {ask.model.name} is not a detector",
            "--method rise does the same for any other score",
        )
    return _random_masks(probe, "drise", samples, cells, keep, score, centered=True)


def _random_masks(
    probe: Probe, name: str, samples: int, cells: int, keep: float, score: str, *, centered: bool
) -> Tensor:
    """Σ_i w_i M_i / (samples · keep) for random smooth masks M_i; w_i is the score, minus its mean if `centered`."""
    import torch
    from torch.nn import functional as F

    height, width = probe.inputs.shape[2:]
    cell = (-(-height // cells), -(-width // cells))

    def draw(start: int, stop: int, seed: int) -> Tensor:
        masks = []
        for item in range(start, stop):  # each mask has its own seed: independent of the chunk size
            generator = torch.Generator().manual_seed(seed + item)
            grid = (torch.rand(1, 1, cells + 1, cells + 1, generator=generator) < keep).float()
            size = ((cells + 1) * cell[0], (cells + 1) * cell[1])
            wide = F.interpolate(grid, size=size, mode="bilinear", align_corners=False)
            top, left = (int(torch.randint(side, (), generator=generator)) for side in cell)
            masks.append(wide[0, :, top : top + height, left : left + width])
        return torch.stack(masks).to(probe.inputs)

    maps = []
    for image, generator in enumerate(probe.generators(name)):
        seed, total = int(torch.randint(2**40, (), generator=generator)), probe.inputs.new_zeros(height, width)

        def batch(start: int, stop: int, image: int = image, seed: int = seed) -> Tensor:
            return probe.masked(image, draw(start, stop, seed))

        weights = probe.score_inputs(image, samples, batch, score)
        weights = weights - weights.mean() if centered else weights
        for start in range(0, samples, 64):
            stop = min(start + 64, samples)
            total += (weights[start:stop, None, None] * draw(start, stop, seed)[:, 0]).sum(0)
        maps.append(total / (samples * keep))
    return torch.stack(maps)
