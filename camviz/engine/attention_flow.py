"""Read the attention matrices of a transformer for a batch, reduced layer by layer, with each layer's own gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from camviz.engine.attention_capture import Record, capture_attention
from camviz.engine.attention_structure import Structure, by_image, inspect_attention
from camviz.engine.forward import ForwardRequest, call
from camviz.engine.tail_replay import copied, substituted
from camviz.errors import ModelError
from camviz.hooks.capture import borrowed, first_tensor, watch, with_first_tensor
from camviz.hooks.devices import autocast

Reduce = Callable[..., Tensor]  # (attention (n, heads, q, k), its gradient if requested) -> the tensor to keep
Scores = Callable[[Any, int, int], Tensor]  # (the model's output, start, stop) -> S of these images

_BUDGET = 2**30  # bytes of attention that may be held at once, and as much again for its gradients


class Attention:
    """The attention of a model over `inputs` (n, channels, H, W). `scores` reads S from the model's output."""

    def __init__(self, ask: ForwardRequest, inputs: Tensor, scores: Scores) -> None:
        self.ask, self.inputs, self.scores = ask, inputs, scores

    @property
    def structure(self) -> Structure:
        """The structure of the attention, computed once per input size.

        Raises `ModelError` for models to which attention methods do not apply.
        """
        height, width = self.inputs.shape[2:]
        known = self.ask.structures
        if (height, width) not in known:
            known[height, width] = inspect_attention(self.ask, self.inputs[:1])
        structure = known[height, width]
        assert isinstance(structure, Structure)
        return structure

    def matrices(self, reduce: Reduce, gradients: bool = False) -> list[Tensor]:
        """Return every self-attention, first to last, then the pooling attention, each reduced: (n, …) float32.

        `reduce` gets the attention (n, heads, q, k) of one layer at a time, and its gradient dS/dA with `gradients`;
        only its result is kept. Images go through the model in chunks whose attention fits into 1 GiB.
        """
        structure = self.structure
        names = [*structure.paths, *filter(None, [structure.pool])]
        each = 4 * structure.heads * structure.tokens**2 * (len(names) if gradients else 1)
        step = max(1, _BUDGET // each)
        chunks = []
        for start in range(0, len(self.inputs), step):
            stop = min(start + step, len(self.inputs))
            matrices = self._chunk(start, stop, names, reduce, gradients)
            chunks.append([matrices[name] for name in names])
        return [torch.cat(parts) for parts in zip(*chunks, strict=True)]

    def _chunk(self, start: int, stop: int, names: Sequence[str], reduce: Reduce, gradients: bool) -> dict[str, Tensor]:
        count, matrices = stop - start, dict[str, Tensor]()
        held: dict[str, Tensor] = {}
        leaves: list[Tensor] = []

        def reduced(path: str, *gradient: Tensor) -> None:
            tensors = [by_image(tensor, count) for tensor in (held.pop(path), *gradient)]
            matrices[path] = reduce(*tensors).detach().float()

        def record(path: str, attention: Tensor) -> Tensor:
            if path not in names:
                return attention
            if gradients and not attention.requires_grad:  # the graph starts here: no backward pass before this layer
                attention = attention.detach().requires_grad_()
                leaves.append(attention)
            held[path] = attention.detach()
            if gradients:
                attention.register_hook(lambda gradient: reduced(path, gradient))  # type: ignore[no-untyped-call]  # torch's
            else:
                reduced(path)
            return attention

        with self._running(record, gradients):
            output = call(self.ask.model, self.inputs[start:stop])
            if gradients:
                scores = self.scores(output, start, stop).sum()
                _differentiated(self.ask, scores, leaves[:1])
        for path in list(held):  # layers that the score does not depend on
            reduced(path, torch.zeros_like(held[path]))
        return matrices

    def formation(self, reduce: Callable[[Tensor], Tensor], last: int = 0) -> list[Tensor]:
        """Return `reduce` of dS/dA (n, heads, q, k) for each or the `last` blocks, S read from the block's own tokens.

        A is the block's attention, or the pooling attention where the head pools by attention. Where the head reads a
        class token, it gets the mean of the block's tokens. Runs the model once, then the block and the head per block.
        Raises `ModelError` where an attention has no module around it whose output is tokens.
        """
        structure, module = self.structure, self.ask.model.module
        if not all(structure.blocks):
            raise ModelError(
                f"legrad needs a block with token output around each attention, and {self.ask.model.name} has none",
                "--method chefer or grad-rollout needs the attention only",
            )
        recorded: dict[str, Any] = {}

        def remember(path: str, _part: nn.Module, _inputs: Any, output: Any) -> None:
            recorded[path] = copied(output)

        blocks = {path: module.get_submodule(path) for path in structure.blocks}
        with self._running(lambda _, attention: attention, False), watch(blocks, remember):
            call(self.ask.model, self.inputs)
        return [self._formed(number, recorded, reduce) for number in range(len(structure.paths))[-last:]]

    def _formed(self, number: int, recorded: Mapping[str, Any], reduce: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute one block of `formation`; the other blocks return their recorded outputs."""
        structure, module = self.structure, self.ask.model.module
        block, last = structure.blocks[number], structure.blocks[-1]
        leaves: dict[str, Tensor] = {}
        tokens: list[Tensor] = []

        def record(path: str, attention: Tensor) -> Tensor:
            if path in (structure.paths[number], structure.pool):
                leaves[path] = attention if attention.requires_grad else attention.detach().requires_grad_()
            return leaves.get(path, attention)

        def take(path: str, _part: nn.Module, _inputs: Any, output: Any) -> Any:
            if path == block:
                tensor = first_tensor(output)
                assert tensor is not None
                tokens.append(tensor)
            return with_first_tensor(output, self._read(tokens[0])) if path == last else None

        outputs = {path: output for path, output in recorded.items() if path != block}
        blocks = {path: module.get_submodule(path) for path in {block, last}}
        with self._running(record, True), substituted(module, outputs), watch(blocks, take):
            output = call(self.ask.model, self.inputs)
            scores = self.scores(output, 0, len(self.inputs)).sum()
            gradient = _differentiated(self.ask, scores, [leaves[structure.pool or structure.paths[number]]])[0]
        return reduce(by_image(gradient, len(self.inputs))).detach().float()

    def _read(self, tokens: Tensor) -> Tensor:
        """Return the tokens of any block (n, N, c) with the mean in place of the class token that the head reads."""
        structure = self.structure
        class_tokens = torch.nonzero(structure.reads[: structure.layer.prefix]).flatten().tolist()
        if structure.pool or not class_tokens:
            return tokens
        changed = tokens.clone()
        changed[:, class_tokens] = tokens.mean(1, keepdim=True)
        return changed

    @contextmanager
    def _running(self, record: Record, gradients: bool) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(torch.set_grad_enabled(gradients))
            stack.enter_context(borrowed(self.ask.model.module))
            stack.enter_context(capture_attention(self.ask.model.module, record))
            stack.enter_context(autocast(self.inputs.device, self.ask.precision))
            yield


def _differentiated(ask: ForwardRequest, scores: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Return dS/d(leaf) for every leaf, zeros where S does not depend on it; the hooks of the leaves run."""
    if not (scores.requires_grad and leaves):
        raise ModelError(
            f"no gradient flows from the score of {ask.model.name} to its attention",
            "--method rollout needs no gradient",
        )
    grads = torch.autograd.grad(scores, leaves, allow_unused=True)
    return [torch.zeros_like(leaf) if grad is None else grad for leaf, grad in zip(leaves, grads, strict=True)]
