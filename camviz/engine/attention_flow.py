"""The attention of a transformer over a batch: reduced layer by layer, with each layer's own gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from camviz.engine.attention_capture import Record, explicit
from camviz.engine.attention_structure import Structure, by_image, look
from camviz.engine.forward import Ask, call
from camviz.engine.tail_replay import answering, copied
from camviz.errors import ModelError
from camviz.hooks.capture import borrowed, first_tensor, watch, with_first_tensor
from camviz.hooks.devices import autocast

Reduce = Callable[..., Tensor]  # (attention (n, heads, q, k), its gradient if asked for) -> what is kept
Scores = Callable[[Any, int, int], Tensor]  # (the model's output, start, stop) -> S of these images

_BUDGET = 2**30  # bytes of attention, and as much again of gradients, that may be held at once


class Attention:
    """The attention of the model of `ask`, over `inputs` (n, channels, H, W). `scores` reads S from its output."""

    def __init__(self, ask: Ask, inputs: Tensor, scores: Scores) -> None:
        self.ask, self.inputs, self.scores = ask, inputs, scores

    @property
    def structure(self) -> Structure:
        """Looked at once for inputs of one size. Raises `ModelError` where these methods mean nothing."""
        height, width = self.inputs.shape[2:]
        known = self.ask.structures
        if (height, width) not in known:
            known[height, width] = look(self.ask, self.inputs[:1])
        found = known[height, width]
        assert isinstance(found, Structure)
        return found

    def matrices(self, reduce: Reduce, gradients: bool = False) -> list[Tensor]:
        """Every self-attention, first to last, then the pooling one, each as `reduce` leaves it: (n, …) float32.

        `reduce` gets (n, heads, q, k) of one layer at a time, with its own gradient dS/dA if asked for; nothing else
        of it is kept. Images go through the model in pieces whose attention fits a budget of memory.
        """
        how = self.structure
        names = [*how.paths, *filter(None, [how.pool])]
        each = 4 * how.heads * how.tokens**2 * (len(names) if gradients else 1)
        step = max(1, _BUDGET // each)
        pieces = []
        for start in range(0, len(self.inputs), step):
            stop = min(start + step, len(self.inputs))
            found = self._piece(start, stop, names, reduce, gradients)
            pieces.append([found[name] for name in names])
        return [torch.cat(parts) for parts in zip(*pieces, strict=True)]

    def _piece(self, start: int, stop: int, names: Sequence[str], reduce: Reduce, gradients: bool) -> dict[str, Tensor]:
        count, found = stop - start, dict[str, Tensor]()
        held: dict[str, Tensor] = {}
        leaves: list[Tensor] = []

        def reduced(path: str, *gradient: Tensor) -> None:
            own = [by_image(one, count) for one in (held.pop(path), *gradient)]
            found[path] = reduce(*own).detach().float()

        def record(path: str, attention: Tensor) -> Tensor:
            if path not in names:
                return attention
            if gradients and not attention.requires_grad:  # the graph begins here: nothing before it costs anything
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
        for path in list(held):  # what the score does not depend on
            reduced(path, torch.zeros_like(held[path]))
        return found

    def formation(self, reduce: Callable[[Tensor], Tensor], last: int = 0) -> list[Tensor]:
        """For each block, or the `last` ones: `reduce` of dS/dA (n, heads, q, k), S read from this block's own tokens.

        A is the block's attention, or that of the pooling where the head pools by attention. A class token that the
        head reads is given the mean of the block's tokens. Runs the model once, and the block and the head for each.
        """
        how, module = self.structure, self.ask.model.module
        if not all(how.blocks):
            raise ModelError(
                f"{self.ask.model.name} has no block that gives tokens around each attention, which legrad reads",
                "--method chefer or grad-rollout reads the attention alone",
            )
        recorded: dict[str, Any] = {}

        def remember(path: str, _part: nn.Module, _inputs: Any, output: Any) -> None:
            recorded[path] = copied(output)

        parts = {path: module.get_submodule(path) for path in how.blocks}
        with self._running(lambda _, attention: attention, False), watch(parts, remember):
            call(self.ask.model, self.inputs)
        return [self._formed(number, recorded, reduce) for number in range(len(how.paths))[-last:]]

    def _formed(self, number: int, recorded: Mapping[str, Any], reduce: Callable[[Tensor], Tensor]) -> Tensor:
        """One block of `formation`: the others answer with what they gave."""
        how, module = self.structure, self.ask.model.module
        block, last = how.blocks[number], how.blocks[-1]
        leaves: dict[str, Tensor] = {}
        tokens: list[Tensor] = []

        def record(path: str, attention: Tensor) -> Tensor:
            if path in (how.paths[number], how.pool):
                leaves[path] = attention if attention.requires_grad else attention.detach().requires_grad_()
            return leaves.get(path, attention)

        def take(path: str, _part: nn.Module, _inputs: Any, output: Any) -> Any:
            if path == block:
                found = first_tensor(output)
                assert found is not None
                tokens.append(found)
            return with_first_tensor(output, self._read(tokens[0])) if path == last else None

        answers = {path: output for path, output in recorded.items() if path != block}
        parts = {path: module.get_submodule(path) for path in {block, last}}
        with self._running(record, True), answering(module, answers), watch(parts, take):
            output = call(self.ask.model, self.inputs)
            scores = self.scores(output, 0, len(self.inputs)).sum()
            gradient = _differentiated(self.ask, scores, [leaves[how.pool or how.paths[number]]])[0]
        return reduce(by_image(gradient, len(self.inputs))).detach().float()

    def _read(self, tokens: Tensor) -> Tensor:
        """Tokens of any block (n, N, c) as the head reads them."""
        how = self.structure
        own = torch.nonzero(how.reads[: how.layer.prefix]).flatten().tolist()
        if how.pool or not own:
            return tokens
        changed = tokens.clone()
        changed[:, own] = tokens.mean(1, keepdim=True)
        return changed

    @contextmanager
    def _running(self, record: Record, gradients: bool) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(torch.set_grad_enabled(gradients))
            stack.enter_context(borrowed(self.ask.model.module))
            stack.enter_context(explicit(self.ask.model.module, record))
            stack.enter_context(autocast(self.inputs.device, self.ask.precision))
            yield


def _differentiated(ask: Ask, scores: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """dS/d(leaves), zeros where S does not depend on one; the leaves' hooks run on the way."""
    if not (scores.requires_grad and leaves):
        raise ModelError(
            f"the score of {ask.model.name} does not depend on its attention in a way that can be differentiated",
            "--method rollout needs no gradient",
        )
    grads = torch.autograd.grad(scores, leaves, allow_unused=True)
    return [torch.zeros_like(leaf) if grad is None else grad for leaf, grad in zip(leaves, grads, strict=True)]
