"""Batch normalization folded into the preceding convolution, for many forwards.

In evaluation it is a scale and a shift per channel: bn(W*x + b) = (s·W)*x + s·(b - mean) + beta with
s = gamma/√(var + eps), which saves a pass over a large tensor. A pair is folded where the new weights are smaller than
that tensor, where nothing else reads it, and where the model's output stays the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from camviz.hooks.capture import watch

WORTH = 200  # forwards from which folding pays: finding the pairs takes two

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of the folded convolution; the normalization must have running statistics."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.detach()
    bias = (0 if conv.bias is None else conv.bias.detach()) - norm.running_mean
    beta = 0 if norm.bias is None else norm.bias.detach()
    return conv.weight.detach() * scale[:, None, None, None], bias * scale + beta


@contextmanager
def folded(pairs: Sequence[Pair]) -> Iterator[None]:
    """Within the block each convolution computes both with the current weights, and the normalization is skipped."""
    try:
        for conv, norm in pairs:
            conv.__dict__["forward"] = _convolution(conv, *fold(conv, norm))
            norm.__dict__["forward"] = _nothing
        yield
    finally:
        for part in (part for pair in pairs for part in pair):
            part.__dict__.pop("forward", None)


def _convolution(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda input: conv._conv_forward(input, weight, bias)


def _nothing(input: Tensor) -> Tensor:
    return input


def find_pairs(module: nn.Module, inputs: Tensor, compute: Callable[[Tensor], Any]) -> list[Pair]:
    """Return the pairs worth folding, found by two runs of `compute` with inputs (1, c, H, W).

    The model is in evaluation mode and its parameters are frozen. The autograd graph of the first run shows
    everything that reads a convolution's output; the second run, folded, must reproduce the first.
    """
    made: dict[Any, nn.Conv2d] = {}
    ran: Counter[nn.Module] = Counter()
    read: list[tuple[Any, nn.BatchNorm2d, int]] = []

    def record(_path: str, part: nn.Module, inputs: Any, output: Any) -> None:
        ran[part] += 1
        if isinstance(part, nn.Conv2d):
            made[output.grad_fn] = part
        elif isinstance(part, nn.BatchNorm2d) and inputs and part.running_var is not None:
            read.append((inputs[0].grad_fn, part, inputs[0][0].numel()))

    parts = {path: part for path, part in module.named_modules() if type(part) in (nn.Conv2d, nn.BatchNorm2d)}
    untouched = {part for part in parts.values() if not _touched(part)}
    with watch(parts, record), torch.inference_mode(False), torch.enable_grad(), _nothing_kept():
        before = compute(inputs.clone().requires_grad_())
    if not isinstance(before, Tensor) or before.grad_fn is None or not before.isfinite().all():
        return []
    readers = _readers(before.grad_fn)
    pairs = [
        (conv, norm)
        for node, norm, size in read
        if (conv := made.get(node)) is not None
        and {conv, norm} <= untouched
        and ran[conv] == ran[norm] == readers[node] == 1
        and conv.weight.numel() < size
    ]
    with folded(pairs):
        after = compute(inputs)
    same = torch.allclose(after, before.detach(), rtol=1e-3, atol=1e-4 * float(before.detach().abs().max()))
    return pairs if same else []


def _touched(part: nn.Module) -> bool:
    """Return whether the module has hooks or a replaced forward."""
    return bool(part._forward_hooks or part._forward_pre_hooks or "forward" in part.__dict__)


def _nothing_kept() -> saved_tensors_hooks:
    """Record a graph without the tensors that a backward pass would need."""
    return saved_tensors_hooks(lambda _tensor: None, lambda _nothing: torch.empty(0))


def _readers(root: Any) -> Counter[Any]:
    """Count, for each node of a graph, the nodes that read its output."""
    counts: Counter[Any] = Counter()
    left, seen = [root], {root}
    while left:
        for node, _number in left.pop().next_functions:
            counts[node] += 1
            if node is not None and node not in seen:
                seen.add(node)
                left.append(node)
    return counts
