"""Receptive fields of layers: theoretical (from kernels and strides) and effective (from gradients)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from camviz.engine.forward import call
from camviz.errors import ModelError, RequestError
from camviz.hooks.capture import borrowed, capture
from camviz.models.typed import layers_command
from camviz.types import Layer, Map, Model

HELD = 0.95  # fraction of the gradient's sum inside the square of an effective field


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """Effective receptive field of a layer's center unit: |gradient| with respect to the input, averaged over images.

    `values` (H, W) float32 sum to 1; `center` (y, x) is their center of mass; `side` is the side of the smallest
    square around it that contains 95 % of them. Luo et al. 2016 (arXiv:1701.04128) instead threshold a Gaussian at
    two sigmas; the square assumes no shape.
    """

    values: Map = field(repr=False)
    center: tuple[float, float]
    side: float
    images: int


def effective_field(
    model: Model, layer: Layer, batches: Iterable[NDArray[np.float32]], channel: int | None = None
) -> EffectiveField:
    """Return the effective receptive field at a layer over batches (n, c, H, W), of one channel or the sum of all.

    Images whose center unit has no gradient (a dead unit) are skipped; raises `RequestError` if all are.
    """
    total: NDArray[np.float64] | None = None
    count = 0
    for batch in batches:
        for gradient in _input_gradients(model, layer, torch.from_numpy(batch).to(model.device), channel):
            if gradient.sum() > 0:  # each image has the same weight, whatever the activation
                total = gradient / gradient.sum() + (0 if total is None else total)
                count += 1
    if total is None:
        unit = f"channel {channel} of layer" if channel is not None else "layer"
        raise RequestError(
            f"the center unit of {unit} '{layer.path}' has no gradient in any image",
            "use other images or another channel: the unit is inactive in these",
        )
    values = total / total.sum()
    center, side = _square(values)
    return EffectiveField(values.astype(np.float32), center, side, count)


def _input_gradients(model: Model, layer: Layer, inputs: Tensor, channel: int | None) -> NDArray[np.float64]:
    """Return |gradient| of the center unit with respect to the input, summed over colors: (n, H, W)."""
    leaf = inputs.detach().requires_grad_()
    with borrowed(model.module), capture(model.module, [layer.path], gradients=True) as recorded:
        call(model, leaf.clone())  # the model may start with an in-place operation
        if layer.path not in recorded:
            raise ModelError(
                f"layer '{layer.path}' is not called in a forward pass of {model.name}",
                f"{layers_command(model)} lists the layers that are",
            )
        maps = layer.to_maps(recorded[layer.path], (inputs.shape[2], inputs.shape[3]))
        unit = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]  # (n, c)
        score = unit.sum() if channel is None else unit[:, channel].sum()
        [gradient] = torch.autograd.grad(score, leaf)
    return gradient.abs().sum(1).double().cpu().numpy()


def _square(values: NDArray[np.float64]) -> tuple[tuple[float, float], float]:
    """Return the center of mass of values (H, W) that sum to 1, and the side of the square that contains `HELD`."""
    rows, columns = (np.arange(size) + 0.5 for size in values.shape)
    down, across = float(values.sum(1) @ rows), float(values.sum(0) @ columns)
    reach = np.maximum(np.abs(rows - down)[:, None], np.abs(columns - across)[None]).ravel()
    order = np.argsort(reach, kind="stable")
    held = int(np.searchsorted(np.cumsum(values.ravel()[order]), HELD * (1 - 1e-9)))
    return (down, across), float(2 * reach[order[min(held, len(order) - 1)]] + 1)
