"""Run a method once, or several times to smooth its map, and fuse maps of several layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from camviz.engine.probe import Probe
from camviz.methods import Chosen
from camviz.methods.components import principal

_FLIPS = (1.0, -1.0)
_ZOOMS = (1.0, 0.9, 1.1)
_SAMPLES, _NOISE = 8, 0.1


def run_method(chosen: Chosen, probe: Probe, smooth: str = "none") -> list[Tensor]:
    """Return the raw maps of a method, each (n, h, w) float32; several where the method has several parts.

    smooth "eigen": project the channels' contributions on their first principal component instead of adding them.
    "noise": average over 8 noisy inputs (standard deviation a tenth of the input's range). "aug": average over
    mirrored and zoomed inputs, each map warped back.
    """
    with torch.enable_grad():  # whatever the caller set; a probe's tensors are detached, except its logits
        if smooth == "noise":
            return _mean([_once(chosen, probe.again(inputs)) for inputs in probe.noisy(_SAMPLES, _NOISE)])
        if smooth == "aug":
            return _augmented(chosen, probe)
        return _once(chosen, probe, smooth == "eigen")


def _once(chosen: Chosen, probe: Probe, eigen: bool = False) -> list[Tensor]:
    result = chosen.entry.call(probe, **chosen.settings)
    if isinstance(result, list):
        return [part.float() for part in result]
    if result.ndim == 4:
        return [(principal(result) if eigen else result.sum(1)).float()]
    return [result.float()]


def _mean(runs: Sequence[list[Tensor]]) -> list[Tensor]:
    return [torch.stack(parts).mean(0) for parts in zip(*runs, strict=True)]


def _augmented(chosen: Chosen, probe: Probe) -> list[Tensor]:
    """Average each position over the variants in which it is visible."""
    totals: list[Tensor] = []
    counts: list[Tensor] = []
    for flip, zoom in _variants():
        changed = probe.again(_warp(probe.inputs, flip / zoom, 1 / zoom, "border"))
        for number, part in enumerate(_once(chosen, changed)):
            back = _warp(part[:, None], flip * zoom, zoom, "zeros")[:, 0]
            visible = _warp(torch.ones_like(part[:, None]), flip * zoom, zoom, "zeros")[:, 0]
            if number == len(totals):
                totals.append(torch.zeros_like(back))
                counts.append(torch.zeros_like(back))
            totals[number] = totals[number] + back
            counts[number] = counts[number] + visible
    return [total / count for total, count in zip(totals, counts, strict=True)]


def _variants() -> Iterator[tuple[float, float]]:
    for zoom in _ZOOMS:
        for flip in _FLIPS:
            yield flip, zoom


def _warp(values: Tensor, across: float, down: float, padding: str) -> Tensor:
    """Sample values (n, c, h, w) at (across·x, down·y), coordinates from -1 to 1."""
    matrix = torch.tensor([[across, 0.0, 0.0], [0.0, down, 0.0]], device=values.device)
    positions = F.affine_grid(matrix.expand(len(values), 2, 3), list(values.shape), align_corners=False)
    return F.grid_sample(values.float(), positions, padding_mode=padding, align_corners=False)


def fuse(maps: Sequence[Tensor], how: str) -> Tensor:
    """Fuse maps (n, h, w) of several layers into one of the finest size.

    mean, max: of the raw values. product: of the positive parts. layercam: the maximum of the positive parts, each
    divided by its maximum and, if finer than the coarsest, passed through tanh(2·) (LayerCAM, section III-C).
    """
    finest = max((layer_map.shape[1:] for layer_map in maps), key=lambda shape: shape[0] * shape[1])
    coarsest = min(layer_map.shape[1] * layer_map.shape[2] for layer_map in maps)
    wide = []
    for layer_map in maps:
        values = F.interpolate(layer_map[:, None], size=finest, mode="bilinear", align_corners=False)[:, 0]
        if how == "layercam":
            top = values.amax((1, 2), keepdim=True).clamp(min=1e-12)
            values = values.clamp(min=0) / top
            values = torch.tanh(2 * values) if layer_map.shape[1] * layer_map.shape[2] > coarsest else values
        wide.append(values.clamp(min=0) if how == "product" else values)
    stacked = torch.stack(wide)
    if how == "mean":
        return stacked.mean(0)
    return stacked.prod(0) if how == "product" else stacked.amax(0)
