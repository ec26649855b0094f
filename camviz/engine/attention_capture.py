"""Capture the attention matrices of a model, also where it uses fused attention, for the length of a `with`.

Fused attention never calls a softmax: the same result is computed from its queries and keys with an explicit softmax,
as part of the graph.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from camviz.hooks.capture import hooks

Record = Callable[[str, Tensor], Tensor]  # (path of the module, attention (…, q, k)) -> the attention the model uses

_SOFTMAX = (F.softmax, torch.softmax, Tensor.softmax)
_MULTI_HEAD = inspect.signature(F.multi_head_attention_forward)


class _AttentionMode(TorchFunctionMode):
    """Pass the output of every attention softmax to `record`; `stack` holds the paths of the running modules."""

    def __init__(self, stack: list[str], record: Record) -> None:
        super().__init__()
        self.stack, self.record = stack, record

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            return self._scaled_dot_product(*args, **kwargs)
        if func is F.multi_head_attention_forward:
            bound = _MULTI_HEAD.bind(*args, **kwargs)
            bound.apply_defaults()
            if not any(bound.arguments[name] is not None for name in ("bias_k", "static_k", "static_v")):
                return self._multi_head(bound.arguments)
        result = func(*args, **kwargs)
        if func in _SOFTMAX and result.ndim > 2:
            dim = args[1] if len(args) > 1 and isinstance(args[1], int) else kwargs.get("dim")
            if dim in (-1, result.ndim - 1):
                return self._recorded(result)
        return result

    def _recorded(self, attention: Tensor) -> Tensor:
        return self.record(self.stack[-1] if self.stack else "", attention)

    def _scaled_dot_product(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if enable_gqa:
            groups = query.shape[-3] // key.shape[-3]
            key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
        scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, -math.inf) if _boolean(attn_mask) else scores + attn_mask
        attention = self._recorded(scores.softmax(-1).to(value.dtype))
        return F.dropout(attention, dropout_p) @ value

    def _multi_head(self, arguments: Mapping[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Compute `F.multi_head_attention_forward` with its softmax in the graph: (q, n, c) in and out."""
        heads, count = arguments["num_heads"], arguments["query"].shape[1]
        biases = (None,) * 3 if arguments["in_proj_bias"] is None else arguments["in_proj_bias"].chunk(3)
        if arguments["use_separate_proj_weight"]:
            matrices = [arguments[f"{name}_proj_weight"] for name in "qkv"]
        else:
            matrices = arguments["in_proj_weight"].chunk(3)
        query, key, value = (
            F.linear(arguments[name], weight, bias)
            .reshape(-1, count, heads, weight.shape[0] // heads)
            .permute(1, 2, 0, 3)
            for name, weight, bias in zip(("query", "key", "value"), matrices, biases, strict=True)
        )
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (n, heads, q, k)
        mask, padding = arguments["attn_mask"], arguments["key_padding_mask"]
        if mask is not None and mask.ndim == 3:
            mask = mask.reshape(count, heads, *mask.shape[1:])
        for bias in (mask, None if padding is None else padding[:, None, None]):
            if bias is not None:
                scores = scores.masked_fill(bias, -math.inf) if _boolean(bias) else scores + bias
        attention = self._recorded(scores.softmax(-1).to(value.dtype))
        dropped = F.dropout(attention, arguments["dropout_p"], arguments["training"])
        mixed = (dropped @ value).permute(2, 0, 1, 3).flatten(2)
        weights = attention.mean(1) if arguments["average_attn_weights"] else attention
        return F.linear(mixed, arguments["out_proj_weight"], arguments["out_proj_bias"]), (
            weights if arguments["need_weights"] else None
        )


def _boolean(mask: Tensor) -> bool:
    return mask.dtype == torch.bool


@contextmanager
def capture_attention(module: nn.Module, record: Record) -> Iterator[None]:
    """Pass every attention matrix of the model through `record` within the block; the model itself is unchanged."""
    stack: list[str] = []

    def entering(path: str) -> Callable[..., None]:
        return lambda *_: stack.append(path)

    def leaving(*_: Any) -> None:
        stack.pop()

    with hooks() as handles:
        for path, submodule in module.named_modules():
            handles.append(submodule.register_forward_pre_hook(entering(path)))
            handles.append(submodule.register_forward_hook(leaving))
        with _AttentionMode(stack, record):
            yield
