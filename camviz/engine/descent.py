"""The way of a gradient down a network's last linear layers, which reads only the weights that matter to it.

At a batch of one the backward of a wide linear layer costs what reading its weights costs. But the gradient of one
class is one row of the last layer's, and what comes through a ReLU is zero for most rows of the one before.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.nn import functional as F

_LINEAR, _RELU = "AddmmBackward0", "ReluBackward0"
_WORTH = 0.6  # of a layer's rows: with more, one product with the whole of it is as fast
_PARTS = 8  # a sum has so many, for threads to share; the same number everywhere, so that it is the same sum


def descends(rows: Any) -> bool:
    """Whether it is worth it for a network's output: scores (n, classes) in float32 on a CPU."""
    plain = isinstance(rows, Tensor) and rows.ndim == 2 and rows.grad_fn is not None
    return plain and rows.device.type == "cpu" and rows.dtype == torch.float32


def descend(rows: Tensor, gradient: Tensor, ends: Collection[Any]) -> tuple[GradientEdge, Tensor]:
    """Where autograd is to go on, and with what, from dS/d(rows) (n, classes): below the last linear layers and ReLUs.

    `ends` are nodes of the graph at which gradients are wanted.
    """
    node, number = rows.grad_fn, rows.output_nr
    while node is not None and node not in ends:
        above = [(place, *edge) for place, edge in enumerate(node.next_functions) if edge[0] is not None]
        if len(above) != 1:  # weights that have gradients, or a branch
            break
        place, following, following_number = above[0]
        if type(node).__name__ == _LINEAR and place == 1:  # input, of bias, input, weights
            gradient = _times(gradient, node._saved_mat2.t())  # type: ignore[attr-defined]
        elif type(node).__name__ == _RELU:
            gradient = node(gradient)  # type: ignore[operator]  # nodes can be called
        else:
            break
        node, number = following, following_number
    assert node is not None
    return GradientEdge(node, number), gradient


def _times(gradient: Tensor, weights: Tensor) -> Tensor:
    """gradient (n, out) @ weights (out, in), without the rows of weights that meet zeros alone."""
    picture, row = gradient.nonzero(as_tuple=True)
    if len(row) > _WORTH * len(weights):
        return gradient @ weights
    bounds = torch.searchsorted(picture, torch.arange(len(gradient) + 1))
    lengths = bounds.diff()[:, None]
    starts = bounds[:-1, None] + lengths * torch.arange(_PARTS) // _PARTS  # (n, parts)
    sums = F.embedding_bag(row, weights, starts.flatten(), mode="sum", per_sample_weights=gradient[picture, row])
    return sums.view(len(gradient), _PARTS, -1).sum(1)
