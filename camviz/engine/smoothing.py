"""Running a method once, or several times to smooth it, and fusing what it found at several layers."""

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
    """The parts that a method finds, each (n, h, w) float32, raw.

    smooth "eigen": the channels' contributions projected on their first principal component, not added up.
    "noise": the mean over 8 noisy inputs (deviation a tenth of the input's range). "aug": the mean over mirrored and
    zoomed inputs, each map brought back to where it belongs.
    """
    with torch.enable_grad():  # whatever the caller has; what a probe gives is detached but for its logits
        if smooth == "noise":
            return _mean([_once(chosen, probe.again(inputs)) for inputs in probe.noisy(_SAMPLES, _NOISE)])
        if smooth == "aug":
            return _augmented(chosen, probe)
        return _once(chosen, probe, smooth == "eigen")


def _once(chosen: Chosen, probe: Probe, eigen: bool = False) -> list[Tensor]:
    found = chosen.entry.call(probe, **chosen.settings)
    if isinstance(found, list):
        return [part.float() for part in found]
    if found.ndim == 4:
        return [(principal(found) if eigen else found.sum(1)).float()]
    return [found.float()]


def _mean(runs: Sequence[list[Tensor]]) -> list[Tensor]:
    return [torch.stack(parts).mean(0) for parts in zip(*runs, strict=True)]


def _augmented(chosen: Chosen, probe: Probe) -> list[Tensor]:
    """Each place is the mean over the variants that show it."""
    totals: list[Tensor] = []
    seen: list[Tensor] = []
    for flip, zoom in _variants():
        changed = probe.again(_warp(probe.inputs, flip / zoom, 1 / zoom, "border"))
        for number, part in enumerate(_once(chosen, changed)):
            back = _warp(part[:, None], flip * zoom, zoom, "zeros")[:, 0]
            shown = _warp(torch.ones_like(part[:, None]), flip * zoom, zoom, "zeros")[:, 0]
            if number == len(totals):
                totals.append(torch.zeros_like(back))
                seen.append(torch.zeros_like(back))
            totals[number] = totals[number] + back
            seen[number] = seen[number] + shown
    return [total / shown for total, shown in zip(totals, seen, strict=True)]


def _variants() -> Iterator[tuple[float, float]]:
    for zoom in _ZOOMS:
        for flip in _FLIPS:
            yield flip, zoom


def _warp(values: Tensor, across: float, down: float, padding: str) -> Tensor:
    """(n, c, h, w) read at (across·x, down·y), coordinates from -1 to 1."""
    matrix = torch.tensor([[across, 0.0, 0.0], [0.0, down, 0.0]], device=values.device)
    places = F.affine_grid(matrix.expand(len(values), 2, 3), list(values.shape), align_corners=False)
    return F.grid_sample(values.float(), places, padding_mode=padding, align_corners=False)


def fuse(maps: Sequence[Tensor], how: str) -> Tensor:
    """Maps (n, h, w) of several layers as one, at the size of the finest; raw values, nothing scaled but as said.

    mean, max: of the raw values. product: of the positive parts. layercam: positive parts over their maximum, those
    finer than the coarsest through tanh(2·), then the maximum (LayerCAM, section III-C).
    """
    finest = max((one.shape[1:] for one in maps), key=lambda shape: shape[0] * shape[1])
    coarsest = min(one.shape[1] * one.shape[2] for one in maps)
    wide = []
    for one in maps:
        values = F.interpolate(one[:, None], size=finest, mode="bilinear", align_corners=False)[:, 0]
        if how == "layercam":
            top = values.amax((1, 2), keepdim=True).clamp(min=1e-12)
            values = values.clamp(min=0) / top
            values = torch.tanh(2 * values) if one.shape[1] * one.shape[2] > coarsest else values
        wide.append(values.clamp(min=0) if how == "product" else values)
    stacked = torch.stack(wide)
    if how == "mean":
        return stacked.mean(0)
    return stacked.prod(0) if how == "product" else stacked.amax(0)
