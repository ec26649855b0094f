"""One cheap forward that notes every layer: shape, order, who feeds whom."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from camviz.hooks.capture import borrowed, first_tensor, watch
from camviz.hooks.meta import on_meta
from camviz.hooks.operations import Trace, tracing
from camviz.models.channels import input_channels
from camviz.models.detectors import economical, transform_of
from camviz.models.failures import failure
from camviz.models.receptive_field import Field
from camviz.models.receptive_tracing import Follower

_IMAGES = 7  # of a survey on the meta device: an axis that is rarely so long by itself


@dataclass(frozen=True)
class LayerRun:
    """One layer as it ran: `shape` without the batch; `output` and `input` name tensors, equal when the same.

    `image_run`: which run of the layer sees the image, counted from 1, where that is not the last. `batched`: the first
    axis is that of the images (it is not where windows or patches have become a batch).
    """

    path: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    output: int
    input: int
    batched: bool = True
    image_run: int = 0


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
    fields: dict[str, Field | None] = field(default_factory=dict, repr=False)  # receptive fields, None if unknown
    task: str = ""  # of the output, where that is known

    def find(self, path: str) -> LayerRun | None:
        """The layer at `path`, as it ran last; None when it did not run."""
        return next((seen for seen in reversed(self.layers) if seen.path == path), None)


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
    channels = input_channels(module, input_size)
    reasons: list[Exception] = []
    boxes = transform_of(module) is not None  # which depend on values, so that there is nothing without them
    for count in dict.fromkeys((channels, 3)):  # pixels may be folded into channels before the first convolution
        for meta in (False,) if boxes else (True, False):  # what the meta device cannot do a real forward can
            try:
                with nullcontext(input_size) if meta else economical(module, input_size) as size:
                    return _survey(module, (count, *size), meta)
            except Exception as error:
                reasons += [] if meta else [error]
    raise failure(module, name, channels, input_size, reasons[0]) from reasons[0]


def float_type(module: nn.Module) -> torch.dtype:
    """Return the floating-point type of a module's parameters, which its inputs need."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)


def _survey(module: nn.Module, shape: tuple[int, ...], meta: bool) -> Survey:
    """Survey with several images where that costs nothing: one image cannot tell their axis from one of length 1."""
    images = _IMAGES if meta else 1
    seen: list[LayerRun] = []
    kept: list[Tensor] = []  # a tensor that lives keeps its id
    fields: dict[str, Field | None] = {}
    follower = Follower()
    sizes = {path: sum(p.numel() for p in part.parameters()) for path, part in module.named_modules()}

    def record(path: str, part: nn.Module, inputs: Any, output: Any) -> None:
        out, into = first_tensor(output), first_tensor(inputs)
        fields[path] = follower.field(out)
        if out is None:
            return
        kept.extend(tensor for tensor in (out, into) if tensor is not None)
        batched = out.ndim > 0 and out.shape[0] == images
        kind = type(part).__name__
        seen.append(LayerRun(path, kind, tuple(out.shape[1:]), sizes[path], id(out), id(into), batched))

    parts = {path: part for path, part in module.named_modules() if path}
    dtype = float_type(module)
    device = "meta" if meta else next((p.device for p in module.parameters()), torch.device("cpu"))
    with borrowed(module), torch.no_grad(), on_meta(module) if meta else nullcontext():
        inputs = torch.zeros((images, *shape), device=device, dtype=dtype)
        follower.start(inputs)
        with watch(parts, record), follower, tracing(module, inputs) as trace:
            raw = output = module(inputs)
        if images > 1:
            output = (
                raw[:1] if isinstance(raw, Tensor) else module(torch.zeros((1, *shape), device=device, dtype=dtype))
            )
    result = first_tensor(output)
    size = tuple(result.shape[1:]) if result is not None else ()
    return Survey(_image_runs(seen, trace), (shape[1], shape[2]), size, output, trace, raw, images, fields)


def _image_runs(seen: Sequence[LayerRun], trace: Trace) -> tuple[LayerRun, ...]:
    """Return the runs, those of a layer with `image_run` set where its last run depends on another input alone."""
    by_path: dict[str, list[LayerRun]] = {}
    for run in seen:
        by_path.setdefault(run.path, []).append(run)
    repeated = {path: runs for path, runs in by_path.items() if len(runs) > 1}
    behind = trace.behind_input() if repeated else set()
    numbers = {}
    for path, runs in repeated.items():
        numbered = [number for number, run in enumerate(runs, 1) if run.output in behind]
        if numbered and numbered[-1] < len(runs):
            numbers[path] = numbered[-1]
    return tuple(replace(run, image_run=numbers[run.path]) if run.path in numbers else run for run in seen)
