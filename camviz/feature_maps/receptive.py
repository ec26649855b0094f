"""Receptive fields: what a unit can see (from kernels and strides), and what it does look at (from gradients)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from camviz.engine.forward import call
from camviz.errors import ModelError, RequestError
from camviz.feature_maps.receptive_field import Field
from camviz.feature_maps.receptive_tracing import Follower
from camviz.hooks.capture import borrowed, capture, first_tensor, hooks, watch
from camviz.models.survey import survey
from camviz.types import Layer, Map, Model

HELD = 0.95  # of the gradient's sum is what the square of an effective field holds


def receptive_fields(
    module: nn.Module, input_size: tuple[int, int], name: str = "the model"
) -> dict[str, Field | None]:
    """The theoretical field of every layer that ran, by its path; None where the path to it is not followed.

    Nothing is computed: shapes alone go through the model, where it allows that.
    """
    found: dict[str, Field | None] = {}
    follower = Follower()

    def note(path: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        found[path] = follower.field(first_tensor(output))

    def begin(_module: nn.Module, given: Any) -> None:
        inputs = first_tensor(given)
        if inputs is not None:
            follower.start(inputs)

    parts = {path: part for path, part in module.named_modules() if path}
    with hooks() as handles, watch(parts, note), follower:
        handles.append(module.register_forward_pre_hook(begin))
        survey(module, input_size, name)
    return found


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """What the center unit of a layer does look at: |gradient| of it by the input, averaged over images.

    `values` (H, W) float32 sum to 1; `center` (down, across) is their center of mass; `side` that of the smallest
    square around the center that holds 95 % of them. (Luo et al. 2016, arXiv:1701.04128, count what is above 4.55 %
    of the peak of a Gaussian, its two sigmas; the square needs no Gaussian.)
    """

    values: Map = field(repr=False)
    center: tuple[float, float]
    side: float
    images: int


def effective_field(
    model: Model, layer: Layer, batches: Iterable[NDArray[np.float32]], channel: int | None = None
) -> EffectiveField:
    """The effective field at a layer over batches (n, c, H, W); of one channel, or of all of them summed up.

    An image whose center unit has no gradient (a dead unit) is left out; all of them without: `RequestError`.
    """
    total: NDArray[np.float64] | None = None
    count = 0
    for batch in batches:
        for one in _looks(model, layer, torch.from_numpy(batch).to(model.device), channel):
            if one.sum() > 0:  # every image counts the same, however strong its unit
                total = one / one.sum() + (0 if total is None else total)
                count += 1
    if total is None:
        what = f"channel {channel} of layer" if channel is not None else "layer"
        raise RequestError(
            f"the center unit of {what} '{layer.path}' has no gradient in any image",
            "other images or another channel: units that are off look at nothing",
        )
    values = total / total.sum()
    center, side = _square(values)
    return EffectiveField(values.astype(np.float32), center, side, count)


def _looks(model: Model, layer: Layer, inputs: Tensor, channel: int | None) -> NDArray[np.float64]:
    """|gradient| of the center unit by the input, summed over colors: (n, H, W)."""
    asked = inputs.detach().requires_grad_()
    with borrowed(model.module), capture(model.module, [layer.path], gradients=True) as recorded:
        call(model, asked.clone())  # a model may begin with an operation in place
        if layer.path not in recorded:
            raise ModelError(f"layer '{layer.path}' does not run in a forward of {model.name}", "")
        maps = layer.to_maps(recorded[layer.path], (inputs.shape[2], inputs.shape[3]))
        unit = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]  # (n, c)
        score = unit.sum() if channel is None else unit[:, channel].sum()
        [gradient] = torch.autograd.grad(score, asked)
    return gradient.abs().sum(1).double().cpu().numpy()


def _square(values: NDArray[np.float64]) -> tuple[tuple[float, float], float]:
    """The center of mass of values (H, W) that sum to 1, and the side of the square around it that holds `HELD`."""
    rows, columns = (np.arange(size) + 0.5 for size in values.shape)
    down, across = float(values.sum(1) @ rows), float(values.sum(0) @ columns)
    reach = np.maximum(np.abs(rows - down)[:, None], np.abs(columns - across)[None]).ravel()
    order = np.argsort(reach, kind="stable")
    held = int(np.searchsorted(np.cumsum(values.ravel()[order]), HELD * (1 - 1e-9)))
    return (down, across), float(2 * reach[order[min(held, len(order) - 1)]] + 1)
