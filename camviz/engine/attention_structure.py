"""The structure of a model's attention: which modules, which tokens, and which tokens the head reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from camviz.engine.attention_capture import capture_attention
from camviz.engine.forward import ForwardRequest, call
from camviz.errors import ModelError
from camviz.hooks.capture import borrowed, first_tensor
from camviz.hooks.devices import autocast
from camviz.models.layers import list_layers
from camviz.models.survey import survey
from camviz.types import Layer

_HINT = "--method gradcam works on it, and eigencam without gradients"


@dataclass(frozen=True, eq=False)
class Structure:
    """The structure of a model's attention for inputs of one size.

    `paths`: modules of the self-attentions between all tokens (n, heads, N, N), first to last. `pool`: module of the
    attention that pools the tokens (n, heads, queries, N or N without prefix), "" without one. `reads` (N,): the
    weight of each token in the head's input. `blocks`: the outermost module around each self-attention and no other,
    "" where its output is not tokens. `layer`: a token layer, with the length of the prefix. `grid`: (height, width)
    in patches.
    """

    paths: tuple[str, ...]
    blocks: tuple[str, ...]
    pool: str
    heads: int
    reads: Tensor
    layer: Layer
    grid: tuple[int, int]

    @property
    def tokens(self) -> int:
        """N, including the prefix."""
        return len(self.reads)

    def place(self, rows: Tensor) -> Tensor:
        """Return one value per token (…, N) as maps (…, h, w), without the prefix."""
        prefix = rows.shape[-1] - self.grid[0] * self.grid[1]
        return rows[..., prefix:].reshape(*rows.shape[:-1], *self.grid)


def by_image(attention: Tensor, images: int) -> Tensor:
    """Return attention as (n, heads, q, k), also where the heads are part of the batch axis (n·heads, q, k)."""
    return attention.reshape(images, -1, *attention.shape[1:]) if attention.ndim == 3 else attention


def inspect_attention(ask: ForwardRequest, image: Tensor) -> Structure:
    """Return the structure of a model's attention, from two forwards over one image (1, channels, H, W).

    Raises `ModelError` for a model without attention, and for attention that is not between all tokens of an
    image: within windows, between grids of different sizes, to fewer keys than queries.
    """
    ran = _shapes(ask, image)
    if not ran:
        raise ModelError(f"{ask.model.name} has no attention matrices", _HINT)
    size = (image.shape[2], image.shape[3])
    listed = list_layers(ask.model, survey(ask.model.module, size, ask.model.name))
    layers = {layer.path: layer for _, layer in listed if layer and layer.layout == "tokens"}
    layer, grid, tokens = _grid(ask, size, layers, ran)
    full = [path for path, shape in ran if (shape[-2:] == (tokens, tokens) and shape[0] == 1) or _folded(shape, tokens)]
    later = ran[len(full) :]
    pools = [path for path, shape in later if shape[0] == 1 and shape[-1] in (tokens, tokens - layer.prefix)]
    for path, shape in ran:
        if path not in (*full, *pools):
            raise _unexpected_shape(ask, path, shape)
    for path, count in Counter(path for path, _ in ran).items():
        if count > 1:
            raise _unsupported(ask, f"'{path}' computes {count} attention matrices")
    gradients = _gradients(ask, image, [full[-1], *pools])
    pools = [path for path in pools if bool(gradients[path].any())]
    if len(pools) > 1:
        raise _unsupported(ask, f"'{pools[0]}' and '{pools[1]}' pool one after the other")
    same_prefix = {path for path, candidate in layers.items() if candidate.prefix == layer.prefix}
    blocks = tuple(_block(path, (*full, *pools), same_prefix) for path in full)
    heads = max(shape[-3] for _, shape in ran)
    reads = _reads(by_image(gradients[full[-1]], 1), layer.prefix)
    return Structure(tuple(full), blocks, "".join(pools), heads, reads, layer, grid)


def _folded(shape: tuple[int, ...], tokens: int) -> bool:
    """Whether the heads of one image are on the batch axis."""
    return len(shape) == 3 and shape[1:] == (tokens, tokens)


def _unsupported(ask: ForwardRequest, reason: str) -> ModelError:
    return ModelError(f"{ask.model.name} does not use global self-attention in every block: {reason}", _HINT)


def _unexpected_shape(ask: ForwardRequest, path: str, shape: tuple[int, ...]) -> ModelError:
    """Return the error for an attention of another shape than (1, heads, N, N)."""
    queries, keys = shape[-2:]
    if queries == keys and (len(shape) > 4 or (len(shape) == 4 and shape[0] > 1)):
        return _unsupported(ask, f"'{path}' attends within windows of {keys} tokens")
    if queries != keys:
        return _unsupported(ask, f"'{path}' has {queries} queries and {keys} keys")
    return _unsupported(ask, f"'{path}' attends between {keys} tokens, other blocks between another number")


def _shapes(ask: ForwardRequest, image: Tensor) -> list[tuple[str, tuple[int, ...]]]:
    """Return (path, shape) of every attention matrix, in the order of computation."""
    shapes: list[tuple[str, tuple[int, ...]]] = []

    def record(path: str, attention: Tensor) -> Tensor:
        shapes.append((path, tuple(attention.shape)))
        return attention

    module = ask.model.module
    with torch.no_grad(), borrowed(module), capture_attention(module, record), autocast(image.device, ask.precision):
        call(ask.model, image)
    return shapes


def _grid(
    ask: ForwardRequest, size: tuple[int, int], layers: Mapping[str, Layer], ran: Sequence[tuple[str, tuple[int, ...]]]
) -> tuple[Layer, tuple[int, int], int]:
    """Return (a token layer, its grid, the number of tokens) of the most common square attention."""
    square = Counter(shape[-1] for _, shape in ran if shape[-1] == shape[-2])
    for tokens, _ in square.most_common():
        for layer in layers.values():
            if layer.shape[0] == tokens:
                return layer, layer.cells(tokens, size), tokens
    path, shape = ran[0]
    raise _unexpected_shape(ask, path, shape)


def _gradients(ask: ForwardRequest, image: Tensor, paths: Sequence[str]) -> dict[str, Tensor]:
    """Return the gradients of a fixed mixture of all outputs at the attentions `paths`, zeros where there is none."""
    leaves: dict[str, Tensor] = {}

    def record(path: str, attention: Tensor) -> Tensor:
        if path in paths:
            attention = attention if attention.requires_grad else attention.detach().requires_grad_()
            leaves[path] = attention
        return attention

    module = ask.model.module
    with (
        torch.enable_grad(),
        borrowed(module),
        capture_attention(module, record),
        autocast(image.device, ask.precision),
    ):
        output = first_tensor(call(ask.model, image))
    if output is None or not output.requires_grad:
        return {path: torch.zeros_like(leaf) for path, leaf in leaves.items()}
    weights = torch.rand(output.shape, generator=torch.Generator().manual_seed(0)).to(output)
    grads = torch.autograd.grad((output * weights).sum(), list(leaves.values()), allow_unused=True)
    return {
        path: torch.zeros_like(leaf) if grad is None else grad
        for (path, leaf), grad in zip(leaves.items(), grads, strict=True)
    }


def _reads(gradient: Tensor, prefix: int) -> Tensor:
    """Return the weight of each token in the head's input (N,), from the last attention's gradient (1, heads, N, N).

    A token is read if its row has a gradient. Prefix tokens that are read share one weight equally, patches another;
    where both are read each group gets a half. Without any gradient (an untrained head) it is the class token, or the
    mean of all patches.
    """
    read = gradient.abs().amax((0, 1, 3)) > 0
    if not read.any():
        read[: 1 if prefix else len(read)] = True
    groups = [read[:prefix].float(), read[prefix:].float()]
    groups = [group / group.sum() if group.any() else group for group in groups]
    return torch.cat(groups) / sum(bool(group.any()) for group in groups)


def _block(path: str, attentions: Sequence[str], token_layers: Collection[str]) -> str:
    """Return the outermost of `token_layers` that contains this attention and no other; "" when there is none."""
    parts = path.split(".")
    for end in range(1, len(parts)):
        outer = ".".join(parts[:end])
        inside = [other for other in attentions if f"{other}.".startswith(f"{outer}.")]
        if inside == [path] and outer in token_layers:
            return outer
    return ""
