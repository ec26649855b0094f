"""The attention family, for transformers: what the attention A (n, heads, N, N) of all layers says of each patch.

The map is what the tokens that the head reads have of each patch: the class token's row, the mean of the rows of class
and distillation token, the mean of all patches' rows where the head pools by the mean, and where it pools by attention
that attention's own row, carried on through the layers. Registers and other prefix tokens are left out of the map.
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


@_attention("rollout", paper="arXiv:2005.00928", needs="attention", cost="1 forward of its own")
def rollout(probe: Probe, *, heads: str = "mean") -> Tensor:
    """The product over layers of ½A + ½I, heads brought together by `heads`: mean, max or min; same for every class.

    Rows sum to 1 over all tokens, the prefix among them.
    """
    found = probe.attention.matrices(_together(heads))
    return _rolled(probe, found)


@_attention(
    "grad-rollout", paper="none: rollout of A ⊙ dS/dA", needs="attention", cost="1 forward and 1 backward of its own"
)
def grad_rollout(probe: Probe, *, heads: str = "mean") -> Tensor:
    """Rollout of the positive part of A ⊙ dS/dA instead of A, each layer with its own gradient.

    Where the head reads the patches themselves, what each keeps of itself is left out: it would hide all else.
    """
    together = _together(heads)
    found = probe.attention.matrices(lambda attention, own: together(attention * own).clamp(min=0), gradients=True)
    return _rolled(probe, found, itself=False)


@_attention("chefer", paper="arXiv:2103.15679", needs="attention", cost="1 forward and 1 backward of its own")
def chefer(probe: Probe) -> Tensor:
    """Relevance R = Π(I + Ā) less I, Ā the mean over heads of relu(A ⊙ dS/dA) (eq. 5 and 6; pooling: 8 to 10)."""
    found = probe.attention.matrices(lambda attention, own: (attention * own).clamp(min=0).mean(1), gradients=True)
    how = probe.attention.structure
    if not how.pool:
        start = how.reads.expand(len(found[0]), 1, -1).to(found[0])
        return how.place(_carried(start, [_with_identity(one) for one in found]) - start)[:, 0]
    *layers, pool = found
    identity = _identity(layers[0])
    relevance = _carried(identity, [_with_identity(one) for one in layers]) - identity
    through = _rows_to_one(relevance) + identity
    return how.place(_padded(pool.mean(1, keepdim=True), how.tokens) @ through)[:, 0]


@_attention("legrad", paper="arXiv:2404.03214", needs="attention", cost="1 backward per block, through it and the head")
def legrad(probe: Probe, *, blocks: int = 0) -> Tensor:
    """The mean over blocks, heads and queries of relu(dS/dA), S read from each block's own tokens.

    `blocks` is how many of the last ones; 0: all.
    """
    import torch

    found = probe.attention.formation(lambda gradient: gradient.clamp(min=0).mean((1, 2)), blocks)
    return probe.attention.structure.place(torch.stack(found).mean(0))


def _together(how: str) -> Callable[[Tensor], Tensor]:
    """(n, heads, q, k) to (n, q, k)."""
    known: dict[str, Callable[[Tensor], Tensor]] = {
        "mean": lambda values: values.mean(1),
        "max": lambda values: values.amax(1),
        "min": lambda values: values.amin(1),
    }
    if how not in known:
        raise RequestError(f"no heads '{how}'", "--set heads=mean, max or min")
    return known[how]


def _rolled(probe: Probe, found: Sequence[Tensor], itself: bool = True) -> Tensor:
    """(n, h, w): the rows that are read, through rownorm(½A + ½I) of every layer."""
    how = probe.attention.structure
    layers = [_rows_to_one(_with_identity(one)) for one in found[: len(how.paths)]]
    start = how.reads.expand(len(layers[0]), 1, -1).to(layers[0])
    if how.pool:
        start = _padded(_rows_to_one(found[-1].mean(1, keepdim=True)), how.tokens)
    elif not itself and how.reads[how.layer.prefix :].any():
        whole = _carried(_identity(layers[0]), layers)
        return how.place(start @ (whole - whole.diagonal(dim1=1, dim2=2).diag_embed()))[:, 0]
    return how.place(_carried(start, layers))[:, 0]


def _carried(rows: Tensor, layers: Sequence[Tensor]) -> Tensor:
    """Rows (n, r, N) times the matrices of the layers, the last one first."""
    for one in reversed(layers):
        rows = rows @ one
    return rows


def _identity(like: Tensor) -> Tensor:
    import torch

    return torch.eye(like.shape[-1], device=like.device, dtype=like.dtype)


def _with_identity(matrix: Tensor) -> Tensor:
    return matrix + _identity(matrix)


def _rows_to_one(matrix: Tensor) -> Tensor:
    """Rows that sum to 1; those of zeros stay."""
    total = matrix.sum(-1, keepdim=True)
    return matrix / total.where(total != 0, total + 1)


def _padded(rows: Tensor, tokens: int) -> Tensor:
    """Rows over the patches alone (n, r, k) as rows over all tokens, the prefix first."""
    from torch.nn import functional as F

    return F.pad(rows, (tokens - rows.shape[-1], 0))
