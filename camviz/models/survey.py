"""One cheap forward that notes every layer: shape, order, who feeds whom."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from camviz.errors import ModelError
from camviz.hooks.capture import borrowed, first_tensor, watch
from camviz.hooks.operations import Trace, tracing
from camviz.models.detectors import economical, transform_of

_IMAGES = 7  # of a survey on the meta device: an axis that is rarely so long by itself


@dataclass(frozen=True)
class LayerRun:
    """One layer as it ran: `shape` without the batch; `output` and `input` name tensors, equal when the same.

    `batched`: the first axis is that of the images (it is not where windows or patches have become a batch).
    """

    path: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    output: int
    input: int
    batched: bool = True


@dataclass(frozen=True)
class Survey:
    """All layers in the order in which they finished, and what went in and came out."""

    layers: tuple[LayerRun, ...]
    input_size: tuple[int, int]
    output_shape: tuple[int, ...]
    output: Any = None  # for one image; on the meta device where possible
    trace: Trace | None = field(default=None, repr=False)  # the calls behind `raw`, the output for `images` images
    raw: Any = field(default=None, repr=False)
    images: int = 1

    def find(self, path: str) -> LayerRun | None:
        """The layer at `path`, as it ran last; None when it did not run."""
        return next((seen for seen in reversed(self.layers) if seen.path == path), None)


def input_channels(module: nn.Module) -> int:
    """Channels of the input, as the model itself says or its first convolution; 3 when neither is there."""
    told = getattr(module, "input_channels", None)
    if isinstance(told, int):
        return told
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Conv3d)):
            return part.in_channels
    return 3


def differentiable(module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether what the model gives for an input of this shape depends on it in a way that gradients can follow."""
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    inputs = torch.rand(shape, device=device, requires_grad=True)
    try:
        with borrowed(module), torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns of operators that gradients silently pass by
            output = first_tensor(module(inputs))
            if output is None:
                return False
            (gradient,) = torch.autograd.grad(output.float().sum(), inputs, allow_unused=True)
    except (RuntimeError, AttributeError, Warning):  # no graph at all, or nothing that is a number
        return False
    return gradient is not None


def survey(module: nn.Module, input_size: tuple[int, int], name: str = "the model") -> Survey:
    """Note every layer of a forward over an input of (height, width), on the meta device where possible.

    The model itself is untouched. Raises `ModelError` when it does not accept such an input.
    """
    channels = input_channels(module)
    reasons: list[Exception] = []
    boxes = transform_of(module) is not None  # which depend on values, so that there is nothing without them
    for count in dict.fromkeys((channels, 3)):  # pixels may be folded into channels before the first convolution
        for meta in (False,) if boxes else (True, False):  # what the meta device cannot do a real forward can
            try:
                with nullcontext(input_size) if meta else economical(module, input_size) as size:
                    return _survey(module, (count, *size), meta)
            except Exception as error:
                reasons += [] if meta else [error]
    reason = str(reasons[0]).partition("\n")[0]
    raise ModelError(
        f"{name} does not accept an image of {input_size[1]}×{input_size[0]}: {reason}",
        "--input-size WIDTHxHEIGHT sets another size; --fit squash uses the model's own",
    ) from reasons[0]


@contextmanager
def _on_meta(module: nn.Module) -> Iterator[None]:
    """Within the block all parameters and buffers are on the meta device; shared ones stay shared."""
    held: list[dict[str, Any]] = [own for part in module.modules() for own in (part._parameters, part._buffers)]
    before = [(own, name, tensor) for own in held for name, tensor in own.items() if tensor is not None]
    replacements: dict[int, Any] = {}
    try:
        for own, name, tensor in before:
            own[name] = replacements.setdefault(id(tensor), tensor.to("meta"))
        yield
    finally:
        for own, name, tensor in before:
            own[name] = tensor


def _survey(module: nn.Module, shape: tuple[int, ...], meta: bool) -> Survey:
    """Survey with several images where that costs nothing: one image cannot tell their axis from one of length 1."""
    images = _IMAGES if meta else 1
    seen: list[LayerRun] = []
    kept: list[Tensor] = []  # a tensor that lives keeps its id
    sizes = {path: sum(p.numel() for p in part.parameters()) for path, part in module.named_modules()}

    def record(path: str, part: nn.Module, inputs: Any, output: Any) -> None:
        out, into = first_tensor(output), first_tensor(inputs)
        if out is None:
            return
        kept.extend(tensor for tensor in (out, into) if tensor is not None)
        batched = out.ndim > 0 and out.shape[0] == images
        kind = type(part).__name__
        seen.append(LayerRun(path, kind, tuple(out.shape[1:]), sizes[path], id(out), id(into), batched))

    parts = {path: part for path, part in module.named_modules() if path}
    device = "meta" if meta else next((p.device for p in module.parameters()), torch.device("cpu"))
    with borrowed(module), torch.no_grad(), _on_meta(module) if meta else nullcontext():
        inputs = torch.zeros((images, *shape), device=device)
        with watch(parts, record), tracing(module, inputs) as trace:
            raw = output = module(inputs)
        if images > 1:
            output = raw[:1] if isinstance(raw, Tensor) else module(torch.zeros((1, *shape), device=device))
    result = first_tensor(output)
    size = tuple(result.shape[1:]) if result is not None else ()
    return Survey(tuple(seen), (shape[1], shape[2]), size, output, trace, raw, images)
