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

_LINEAR = "AddmmBackward0"
_PASSED = ("StackBackward0", "SelectBackward0", "UnbindBackward0", "ReluBackward0")  # the score of a class; a ReLU
_WORTH = 0.6  # of a layer's rows: with more, one product with the whole of it is as fast
_PARTS = 8  # a sum has so many, for threads to share; the same number everywhere, so that it is the same sum


def descend(scores: Tensor, ends: Collection[Any]) -> tuple[GradientEdge, Tensor]:
    """Where autograd is to go on for dS, and with what: below the last linear layers and ReLUs.

    `ends` are nodes of the graph at which gradients are wanted. Where the way parts, as for a batch of several
    pictures, autograd does the rest; on a GPU all of it, whose weights are read faster than they are chosen.
    """
    node, number, gradient = scores.grad_fn, scores.output_nr, torch.ones_like(scores)
    while node is not None and node not in ends and gradient.device.type == "cpu":
        above = [(place, *edge) for place, edge in enumerate(node.next_functions) if edge[0] is not None]
        if len(above) != 1:  # weights that have gradients, or a branch
            break
        place, following, following_number = above[0]
        if type(node).__name__ == _LINEAR and place == 1:  # of bias, input, weights
            gradient = _times(gradient, node._saved_mat2.t())  # type: ignore[attr-defined]
        elif type(node).__name__ in _PASSED:
            made = node(gradient)  # type: ignore[operator]  # nodes can be called
            gradient = made[place] if isinstance(made, tuple) else made
        else:
            break
        node, number = following, following_number
    assert node is not None
    return GradientEdge(node, number), gradient


def _times(gradient: Tensor, weights: Tensor) -> Tensor:
    """gradient (n, out) @ weights (out, in), without the rows of weights that meet zeros alone."""
    picture, row = gradient.nonzero(as_tuple=True)
    if len(row) > _WORTH * len(weights) or gradient.dtype != torch.float32:
        return gradient @ weights
    bounds = torch.searchsorted(picture, torch.arange(len(gradient) + 1))
    lengths = bounds.diff()[:, None]
    starts = bounds[:-1, None] + lengths * torch.arange(_PARTS) // _PARTS  # (n, parts)
    sums = F.embedding_bag(row, weights, starts.flatten(), mode="sum", per_sample_weights=gradient[picture, row])
    return sums.view(len(gradient), _PARTS, -1).sum(1)
