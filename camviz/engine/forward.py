"""One forward through a network, and everything of it that somebody may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from camviz.engine.capture import borrowed, capture, first_tensor, watch
from camviz.engine.chunks import Chunks, out_of_memory
from camviz.engine.devices import autocast
from camviz.engine.replay import copied
from camviz.errors import InputError, NetworkError
from camviz.types import Layer, Model

MASKS_AT_ONCE = 8  # on a CPU more is not faster, and memory grows with it


@dataclass(frozen=True, eq=False)
class Ask:
    """What forwards are for: which layers to capture, at what precision, in what pieces, from which seed.

    By a layer's path: `frozen` are the modules whose outputs are recorded for replaying the tail, `stages` the
    last layers of the finer resolutions before it. `head`: linear layers keep their inputs, to find the last one.
    """

    model: Model
    layers: tuple[Layer, ...]
    gradients: bool = True
    precision: str = "fp32"
    chunks: Chunks = field(default_factory=lambda: Chunks(MASKS_AT_ONCE))
    seed: int = 0
    frozen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stages: Mapping[str, Sequence[Layer]] = field(default_factory=dict)
    head: bool = False

    @property
    def captured(self) -> list[str]:
        """Paths of all layers to capture."""
        paths = [layer.path for layer in self.layers]
        paths += [stage.path for stages in self.stages.values() for stage in stages]
        return list(dict.fromkeys(paths))


@dataclass(eq=False)
class Pass:
    """One forward: inputs (n, c, H, W), what came out, the tensors at the layers, recorded outputs."""

    ask: Ask
    inputs: Tensor
    output: Any
    captured: Mapping[str, Tensor]
    outputs: Mapping[str, Any]  # whole outputs of the layers and of the frozen modules, where wanted
    head: tuple[nn.Linear, Tensor] | None  # the last linear layer, if asked for and its output is all, and its input

    @cached_property
    def logits(self) -> Tensor:
        """The rows of class scores (n, classes); raises `NetworkError` for a network that gives none."""
        with torch.enable_grad():  # float() is part of the graph, whatever the caller has switched off
            return logits_of(self.ask.model, self.output, len(self.inputs))


def run_forward(ask: Ask, inputs: Tensor) -> Pass:
    """One forward over a batch (n, c, H, W); the network comes back as it was."""
    module = ask.model.module
    heads: list[tuple[nn.Linear, Tensor, Tensor]] = []
    outputs: dict[str, Any] = {}

    def record_head(_path: str, linear: nn.Module, given: Any, output: Any) -> None:
        assert isinstance(linear, nn.Linear)
        heads.append((linear, given[0].detach(), output))

    def record_output(path: str, _module: nn.Module, _given: Any, output: Any) -> None:
        outputs[path] = copied(output)

    parts = module.named_modules() if ask.head else ()
    linears = {path: part for path, part in parts if isinstance(part, nn.Linear)}
    wanted = {path for layer, before in ask.frozen.items() for path in (layer, *before)}
    with ExitStack() as stack:
        stack.enter_context(borrowed(module))
        stack.enter_context(watch(linears, record_head))
        stack.enter_context(watch({path: module.get_submodule(path) for path in wanted}, record_output))
        captured = stack.enter_context(capture(module, ask.captured, ask.gradients))
        stack.enter_context(autocast(inputs.device, ask.precision))
        output = call(ask.model, inputs)
    head = next(((linear, given) for linear, given, made in reversed(heads) if made is output), None)
    return Pass(ask, inputs, output, captured, outputs, head)


def rescore(ask: Ask, total: int, batch: Callable[[int, int], Tensor]) -> Tensor:
    """Logits (total, classes) of the inputs that `batch(start, stop)` makes piece by piece."""
    module = ask.model.module

    def compute(start: int, stop: int) -> Tensor:
        inputs = batch(start, stop)
        return logits_of(ask.model, _quickly(ask, inputs), len(inputs))

    device = torch.device(ask.model.device)
    with borrowed(module), torch.inference_mode(), autocast(device, ask.precision):
        return ask.chunks.run(total, compute)


def _quickly(ask: Ask, inputs: Tensor) -> Any:
    """The network's output, the inputs laid out as convolutions like them best if its own views allow that."""
    try:
        return call(ask.model, inputs.contiguous(memory_format=ask.chunks.layout))
    except (InputError, NetworkError):
        if ask.chunks.layout == torch.contiguous_format:
            raise
        ask.chunks.layout = torch.contiguous_format
        return call(ask.model, inputs)


def call(model: Model, inputs: Tensor) -> Any:
    """The network's output; whatever it raises becomes words."""
    try:
        return model.module(inputs)
    except Exception as error:
        if out_of_memory(error):
            raise
        height, width = inputs.shape[2:]
        reason = str(error).partition("\n")[0] or type(error).__name__
        message = f"{model.name} does not accept an input of {width}×{height}: {reason}"
        native = model.preprocessing.crop
        if (height, width) != native:
            raise InputError(message, f"--fit squash shows the whole picture at {native[1]}×{native[0]}") from error
        raise NetworkError(message, "--input-size WIDTHxHEIGHT sets another size") from error


def logits_of(model: Model, output: Any, count: int) -> Tensor:
    """The rows of class scores in a network's output, float32."""
    tensor = first_tensor(output)
    if tensor is None or tensor.ndim != 2 or tensor.shape[0] != count:
        shape = "no tensor" if tensor is None else "×".join(map(str, tensor.shape))
        raise NetworkError(
            f"{model.name} gives {shape} for {count} picture(s), not one row of class scores for each",
            "camviz explains image classifiers: (pictures, classes)",
        )
    return tensor.float()
