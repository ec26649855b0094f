"""The last operations of a forward: activations, normalization, or a head without a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from camviz.hooks.operations import Call, Site
from camviz.tasks.outputs import NO_ENDING, Activation, Ending

_ACTIVATIONS: dict[tuple[str, ...], Activation] = {  # the calls from the last one backwards
    ("softmax",): "softmax",
    ("exp", "log_softmax"): "softmax",
    ("log_softmax",): "log_softmax",
    ("log", "softmax"): "log_softmax",
    ("sigmoid",): "sigmoid",
    ("expit",): "sigmoid",
    ("exp", "logsigmoid"): "sigmoid",
    ("logsigmoid",): "sigmoid",
}


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_RESHAPES = _set(
    "view reshape flatten squeeze unsqueeze permute transpose t contiguous clone float to double half bfloat16 type "
    "detach unflatten view_as reshape_as swapaxes movedim cpu cuda identity T mT data dropout"
)
_CLASSIFIERS = _set("linear conv1d conv2d conv3d conv_transpose2d matmul __matmul__ mm bmm addmm einsum bilinear")
_NORMS = _set("layer_norm batch_norm group_norm instance_norm rms_norm")
_ATTENTION = _set("scaled_dot_product_attention multi_head_attention_forward")
_LAYERS = _CLASSIFIERS | _NORMS | _ATTENTION
_FEATURES = _NORMS | _ATTENTION | _set("relu relu6 gelu silu hardswish hardtanh leaky_relu elu mish prelu tanh")
_ROUNDING = _set("argmax argmin argsort round floor ceil trunc sign gt ge lt le eq bincount heaviside")
_EMBEDDED = 64  # divides the usual widths of embeddings
_FAR = 200  # calls looked at behind the last layer


@dataclass(frozen=True)
class Found:
    """The ending of an output: `core` is the call before its activation, `nearby` the calls behind the last layer."""

    ending: Ending = NO_ENDING
    sites: tuple[Site, ...] = ()
    core: Call | None = None
    nearby: frozenset[str] = frozenset()
    inverted: bool = False

    def witness_needed(self, call: Call | None) -> bool:
        """Return whether the values must show what the graph leaves open."""
        open_ = call is None or bool(self.nearby & {"softmax", "log_softmax", "sigmoid", "expit"})
        return open_ and not self.ending.activation


def find(call: Call | None, tensor: Tensor) -> Found:
    """Return the ending of the output `tensor` that `call` computed; None where no call is known."""
    if call is None:
        return Found()
    names, sites, sliced = [], [], False
    last = call
    while last.sources:
        if last.name == "__getitem__":
            sliced = True
        elif last.site.number > 0:
            names.append(last.name)
            sites.append(last.site)
        elif last.name not in _RESHAPES:
            break
        if tuple(names) in _ACTIVATIONS and _over_classes(last, sliced):
            return Found(Ending(_ACTIVATIONS[tuple(names)]), tuple(sites), _core(last.sources[0]))
        last = last.sources[0]
    return Found(Ending("", _embedding(call, tensor)), (), _core(call), _nearby(call))


def _over_classes(call: Call, sliced: bool) -> bool:
    """Return whether an activation is per value, or over the axis of classes."""
    if "softmax" not in call.name:
        return True
    axis, axes = call.option("dim", 1), call.tensors[0].ndim
    if axis is None:
        axis = 0 if axes in (0, 1, 3) else 1  # as torch chooses without a dim
    return not sliced and axis % max(axes, 1) == (0 if axes == 1 else 1)


def _core(call: Call) -> Call:
    """Return the call before reshapes."""
    while call.name in _RESHAPES and call.sources:
        call = call.sources[0]
    return call


def _nearby(call: Call) -> frozenset[str]:
    """Return the names of all calls behind the last layers."""
    seen, left = {call}, [call]
    while left and len(seen) < _FAR:
        current = left.pop()
        if current.name not in _LAYERS:
            left += [source for source in current.sources if source not in seen]
            seen.update(current.sources)
    return frozenset(item.name for item in seen)


def _embedding(call: Call, tensor: Tensor) -> str:
    """Return why an output is an embedding, "" if it is none."""
    if tensor.ndim != 2 or tensor.shape[1] < 2:
        return ""
    last = _core(call)
    if last.name == "normalize" or (last.name in ("div", "__truediv__", "true_divide") and _norm_of(last)):
        return "normalized to unit length"
    while last.sources and last.name not in _CLASSIFIERS | _FEATURES:
        last = last.sources[0]
    features = last.name in _FEATURES and not _scored(last, tensor.shape[1])
    return "no classifier behind the features" if features else ""


def _scored(call: Call, width: int) -> bool:
    """Return whether a normalization or activation at the end is that of class scores, as in SqueezeNet.

    It follows a linear layer or a 1×1 convolution directly. Heads of embeddings end so as well (ArcFace, MobileNet):
    their widths are multiples of 64, numbers of classes rarely are.
    """
    before = _core(call.sources[0]) if call.sources and call.name not in _ATTENTION else None
    while before and before.name in _FEATURES - _ATTENTION and before.sources:  # a norm and an activation
        before = _core(before.sources[0])
    if before is None or not width % _EMBEDDED:
        return False
    weights = [tensor for tensor in before.tensors[1:] if tensor.ndim > 1]
    pointwise = before.name == "conv2d" and all(tensor.shape[2:] == (1, 1) for tensor in weights)
    return bool(weights) and weights[0].shape[0] == width and (before.name in ("linear", "addmm") or pointwise)


def _norm_of(call: Call) -> bool:
    """Return whether a division is by a norm, directly behind it."""
    near = [call]
    for _ in range(4):
        near += [source for item in near for source in item.sources if source not in near]
        if any("norm" in item.name and item.name not in _LAYERS for item in near):
            return True
        near = [item for item in near if item.name not in _LAYERS]
    return False


def without_gradient(call: Call | None) -> str:
    """Return the function that rounds an output, "" for none."""
    while call and call.name not in _ROUNDING and call.name in _RESHAPES and call.sources:
        call = call.sources[0]
    return call.name.strip("_") if call and call.name in _ROUNDING else ""


def of_values(values: Tensor) -> Activation:
    """Return which activation values of an output (n, …) show: rows that sum to 1, or numbers between 0 and 1."""
    if values.ndim < 2 or not bool(values.isfinite().all()):
        return "sigmoid" if values.ndim == 1 and _within(values) else ""
    if values.shape[1] > 1:
        ones = torch.ones(())
        if _within(values) and torch.allclose(values.sum(1), ones.to(values), atol=1e-3):
            return "softmax"
        if bool((values <= 0).all()) and torch.allclose(values.exp().sum(1), ones.to(values), atol=1e-3):
            return "log_softmax"
    return "sigmoid" if _within(values) else ""


def _within(values: Tensor) -> bool:
    return bool(values.isfinite().all()) and bool((values >= 0).all()) and bool((values <= 1).all())


def inverse(values: Tensor, activation: str) -> Tensor:
    """Return logits of probabilities: softmax or sigmoid of them gives the probabilities again."""
    if activation == "log_softmax":
        return values
    smallest = torch.finfo(torch.float32).tiny
    return values.clamp(min=smallest).log() if activation == "softmax" else values.logit(1e-7)
