"""How a model's attention is built: between which tokens, in which blocks, and which tokens the head reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from camviz.engine.attention_capture import explicit
from camviz.engine.forward import Ask, call
from camviz.errors import ModelError
from camviz.hooks.capture import borrowed, first_tensor
from camviz.hooks.devices import autocast
from camviz.models.layers import list_layers
from camviz.models.survey import survey
from camviz.types import Layer

_HINT = "--method gradcam works on it, and eigencam without gradients"


@dataclass(frozen=True, eq=False)
class Structure:
    """How a model's attention is built, for inputs of one size.

    `paths` of the self-attentions between all tokens (n, heads, N, N), first to last; `pool` of the attention that
    pools them (n, heads, queries, N or less the prefix), if there is one. `reads` (N,): the share of each token in
    what the head reads. `blocks`: the outermost module around each self-attention alone, "" where none gives tokens.
    `layer` says where the prefix ends, `grid` is (height, width) in patches.
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
        """N, the prefix among them."""
        return len(self.reads)

    def place(self, rows: Tensor) -> Tensor:
        """What is known of each token (…, N) as maps (…, h, w); the prefix is left out."""
        behind = rows.shape[-1] - self.grid[0] * self.grid[1]
        return rows[..., behind:].reshape(*rows.shape[:-1], *self.grid)


def by_image(attention: Tensor, images: int) -> Tensor:
    """(n, heads, q, k) of attention whose heads may be in the batch, (n·heads, q, k)."""
    return attention.reshape(images, -1, *attention.shape[1:]) if attention.ndim == 3 else attention


def look(ask: Ask, image: Tensor) -> Structure:
    """The structure of a model's attention, from two forwards over one image (1, channels, H, W).

    Raises `ModelError` for a model without attention, and for attention that is not between all tokens of a
    image: within windows, between grids of different sizes, to fewer keys than queries.
    """
    ran = _shapes(ask, image)
    if not ran:
        raise ModelError(f"{ask.model.name} has no attention that could be read", _HINT)
    size = (image.shape[2], image.shape[3])
    listed = list_layers(ask.model, survey(ask.model.module, size, ask.model.name))
    layers = {one.path: layer for one, layer in listed if layer and layer.layout == "tokens"}
    layer, grid, tokens = _grid(ask, size, layers, ran)
    full = [path for path, shape in ran if (shape[-2:] == (tokens, tokens) and shape[0] == 1) or _folded(shape, tokens)]
    behind = ran[len(full) :]
    pools = [path for path, shape in behind if shape[0] == 1 and shape[-1] in (tokens, tokens - layer.prefix)]
    for path, shape in ran:
        if path not in (*full, *pools):
            raise _odd(ask, path, shape)
    for path, count in Counter(path for path, _ in ran).items():
        if count > 1:
            raise _unfit(ask, f"'{path}' has {count} of them")
    gradients = _gradients(ask, image, [full[-1], *pools])
    pools = [path for path in pools if bool(gradients[path].any())]
    if len(pools) > 1:
        raise _unfit(ask, f"'{pools[0]}' and '{pools[1]}' pool one after the other")
    fitting = {path for path, one in layers.items() if one.prefix == layer.prefix}
    blocks = tuple(_block(path, (*full, *pools), fitting) for path in full)
    heads = max(shape[-3] for _, shape in ran)
    reads = _reads(by_image(gradients[full[-1]], 1), layer.prefix)
    return Structure(tuple(full), blocks, "".join(pools), heads, reads, layer, grid)


def _folded(shape: tuple[int, ...], tokens: int) -> bool:
    """Whether the heads are in the batch of one image."""
    return len(shape) == 3 and shape[1:] == (tokens, tokens)


def _unfit(ask: Ask, why: str) -> ModelError:
    return ModelError(
        f"the attention of {ask.model.name} is not between all its tokens, block after block: {why}", _HINT
    )


def _odd(ask: Ask, path: str, shape: tuple[int, ...]) -> ModelError:
    """What is unlike in one attention of an image, in words."""
    queries, keys = shape[-2:]
    if queries == keys and (len(shape) > 4 or (len(shape) == 4 and shape[0] > 1)):
        return _unfit(ask, f"'{path}' looks within windows of {keys}")
    if queries != keys:
        return _unfit(ask, f"'{path}' has {queries} queries for {keys} keys")
    return _unfit(ask, f"'{path}' is between {keys}")


def _shapes(ask: Ask, image: Tensor) -> list[tuple[str, tuple[int, ...]]]:
    """(path, shape) of every attention as it ran."""
    found: list[tuple[str, tuple[int, ...]]] = []

    def record(path: str, attention: Tensor) -> Tensor:
        found.append((path, tuple(attention.shape)))
        return attention

    module = ask.model.module
    with torch.no_grad(), borrowed(module), explicit(module, record), autocast(image.device, ask.precision):
        call(ask.model, image)
    return found


def _grid(
    ask: Ask, size: tuple[int, int], layers: Mapping[str, Layer], ran: Sequence[tuple[str, tuple[int, ...]]]
) -> tuple[Layer, tuple[int, int], int]:
    """(a layer of tokens, its grid, their number): the tokens that most square attentions are between."""
    square = Counter(shape[-1] for _, shape in ran if shape[-1] == shape[-2])
    for tokens, _ in square.most_common():
        for layer in layers.values():
            if layer.shape[0] == tokens:
                return layer, layer.cells(tokens, size), tokens
    path, shape = ran[0]
    raise _odd(ask, path, shape)


def _gradients(ask: Ask, image: Tensor, paths: Sequence[str]) -> dict[str, Tensor]:
    """The gradients of a fixed mixture of all outputs to the attentions at `paths`, zeros where there is none."""
    leaves: dict[str, Tensor] = {}

    def record(path: str, attention: Tensor) -> Tensor:
        if path in paths:
            attention = attention if attention.requires_grad else attention.detach().requires_grad_()
            leaves[path] = attention
        return attention

    module = ask.model.module
    with torch.enable_grad(), borrowed(module), explicit(module, record), autocast(image.device, ask.precision):
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
    """The share of each token in what the head reads: its row of the last attention has a gradient (1, heads, N, N).

    Tokens of the prefix that are read share alike, so do patches; where both are read each side has a half. Where
    nothing has a gradient (an untrained head) it is the class token, or the mean of all patches.
    """
    read = gradient.abs().amax((0, 1, 3)) > 0
    if not read.any():
        read[: 1 if prefix else len(read)] = True
    own, patches = read[:prefix].float(), read[prefix:].float()
    sides = [side / side.sum() if side.any() else side for side in (own, patches)]
    return torch.cat(sides) / sum(bool(side.any()) for side in sides)


def _block(path: str, attentions: Sequence[str], giving: Collection[str]) -> str:
    """The outermost module around one attention and no other that is `giving` tokens; "" when there is none."""
    parts = path.split(".")
    for end in range(1, len(parts)):
        outer = ".".join(parts[:end])
        inside = [other for other in attentions if f"{other}.".startswith(f"{outer}.")]
        if inside == [path] and outer in giving:
            return outer
    return ""
