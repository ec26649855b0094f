"""The attention family, for transformers: maps from the attention A (n, heads, N, N) of all layers.

The map is the row of the tokens that the head reads: the class token's row, the mean of the class and distillation
tokens' rows, the mean of all patches' rows where the head pools by the mean, or the pooling attention's row multiplied
through the layers where it pools by attention. Registers and other prefix tokens are left out of the map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from camviz.errors import RequestError
from camviz.methods import METHODS

if TYPE_CHECKING:
    from torch import Tensor

    from camviz.engine.probe import Probe

_attention = partial(METHODS.add, family="attention", layer="none")


@_attention(
    "rollout", aliases=("attention-rollout",), paper="arXiv:2005.00928", needs="attention", cost="1 forward of its own"
)
def rollout(probe: Probe, *, heads: str = "mean") -> Tensor:
    """Product over layers of ½A + ½I, heads reduced by `heads`: mean, max or min. Not class-specific.

    Rows sum to 1 over all tokens, including the prefix.
    """
    matrices = probe.attention.matrices(_head_reduction(heads))
    return _rolled(probe, matrices)


@_attention(
    "grad-rollout",
    aliases=("gradient-rollout", "gradient-attention-rollout"),
    paper="none: rollout of A ⊙ dS/dA",
    needs="attention",
    cost="1 forward and 1 backward of its own",
)
def grad_rollout(probe: Probe, *, heads: str = "mean") -> Tensor:
    """Rollout of the positive part of A ⊙ dS/dA instead of A, each layer with its own gradient.

    Where the head reads the patches themselves, the diagonal is left out: it would dominate the map.
    """
    reduce = _head_reduction(heads)
    matrices = probe.attention.matrices(lambda a, gradient: reduce(a * gradient).clamp(min=0), gradients=True)
    return _rolled(probe, matrices, diagonal=False)


@_attention(
    "chefer",
    aliases=("transformer-attribution", "transformer-explainability"),
    paper="arXiv:2103.15679",
    needs="attention",
    cost="1 forward and 1 backward of its own",
)
def chefer(probe: Probe) -> Tensor:
    """Relevance R = Π(I + Ā) - I, Ā the mean over heads of relu(A ⊙ dS/dA) (eq. 5 and 6; pooling: 8 to 10)."""
    matrices = probe.attention.matrices(lambda a, gradient: (a * gradient).clamp(min=0).mean(1), gradients=True)
    structure = probe.attention.structure
    if not structure.pool:
        start = structure.reads.expand(len(matrices[0]), 1, -1).to(matrices[0])
        return structure.place(_multiplied(start, [_with_identity(layer) for layer in matrices]) - start)[:, 0]
    *layers, pool = matrices
    identity = _identity(layers[0])
    relevance = _multiplied(identity, [_with_identity(layer) for layer in layers]) - identity
    through = _rows_to_one(relevance) + identity
    return structure.place(_padded(pool.mean(1, keepdim=True), structure.tokens) @ through)[:, 0]


@_attention("legrad", paper="arXiv:2404.03214", needs="attention", cost="1 backward per block, through it and the head")
def legrad(probe: Probe, *, blocks: int = 0) -> Tensor:
    """Mean over blocks, heads and queries of relu(dS/dA), S read from each block's own tokens.

    `blocks`: number of last blocks to use; 0 for all.
    """
    import torch

    gradients = probe.attention.formation(lambda gradient: gradient.clamp(min=0).mean((1, 2)), blocks)
    return probe.attention.structure.place(torch.stack(gradients).mean(0))


def _head_reduction(how: str) -> Callable[[Tensor], Tensor]:
    """Return the reduction of (n, heads, q, k) to (n, q, k)."""
    known: dict[str, Callable[[Tensor], Tensor]] = {
        "mean": lambda values: values.mean(1),
        "max": lambda values: values.amax(1),
        "min": lambda values: values.amin(1),
    }
    if how not in known:
        raise RequestError(f"no heads '{how}'", "--set heads=mean, heads=max or heads=min")
    return known[how]


def _rolled(probe: Probe, matrices: Sequence[Tensor], diagonal: bool = True) -> Tensor:
    """Return the rows of the tokens that the head reads, times rownorm(½A + ½I) of every layer: (n, h, w)."""
    structure = probe.attention.structure
    layers = [_rows_to_one(_with_identity(layer)) for layer in matrices[: len(structure.paths)]]
    start = structure.reads.expand(len(layers[0]), 1, -1).to(layers[0])
    if structure.pool:
        start = _padded(_rows_to_one(matrices[-1].mean(1, keepdim=True)), structure.tokens)
    elif not diagonal and structure.reads[structure.layer.prefix :].any():
        product = _multiplied(_identity(layers[0]), layers)
        return structure.place(start @ (product - product.diagonal(dim1=1, dim2=2).diag_embed()))[:, 0]
    return structure.place(_multiplied(start, layers))[:, 0]


def _multiplied(rows: Tensor, layers: Sequence[Tensor]) -> Tensor:
    """Return rows (n, r, N) times the matrices of the layers, from the last to the first."""
    for layer in reversed(layers):
        rows = rows @ layer
    return rows


def _identity(like: Tensor) -> Tensor:
    import torch

    return torch.eye(like.shape[-1], device=like.device, dtype=like.dtype)


def _with_identity(matrix: Tensor) -> Tensor:
    return matrix + _identity(matrix)


def _rows_to_one(matrix: Tensor) -> Tensor:
    """Scale rows to sum to 1; rows of zeros stay."""
    total = matrix.sum(-1, keepdim=True)
    return matrix / total.where(total != 0, total + 1)


def _padded(rows: Tensor, tokens: int) -> Tensor:
    """Pad rows over the patches (n, r, k) with zeros to rows over all tokens, prefix first."""
    from torch.nn import functional as F

    return F.pad(rows, (tokens - rows.shape[-1], 0))
