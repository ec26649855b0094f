"""One forward through a model, and everything of it that somebody may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from camviz.engine.tail_replay import copied
from camviz.errors import InputError, ModelError
from camviz.hooks.bn_folding import WORTH, Pair, find_pairs, folded
from camviz.hooks.capture import borrowed, capture, part_of, watch
from camviz.hooks.chunks import Chunks, out_of_memory
from camviz.hooks.devices import autocast
from camviz.tasks import Task
from camviz.tasks.classification import Classification
from camviz.types import Layer, Model, Target

MASKS_AT_ONCE = 5  # on a CPU more is not faster, and the peak is the first layer's output for all of them


@dataclass(frozen=True, eq=False)
class Ask:
    """What forwards are for: which layers to capture, for which task, at what precision, in what pieces, what seed.

    By a layer's path: `frozen` are the modules whose outputs are recorded for replaying the tail, `stages` the
    last layers of the finer resolutions before it. `head`: linear layers keep their inputs, to find the last one.
    `structures`: how the model's attention is built, noted for each size of input that was looked at.
    """

    model: Model
    layers: tuple[Layer, ...]
    gradients: bool = True
    task: Task | None = None
    precision: str = "fp32"
    chunks: Chunks = field(default_factory=lambda: Chunks(MASKS_AT_ONCE))
    seed: int = 0
    frozen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stages: Mapping[str, Sequence[Layer]] = field(default_factory=dict)
    head: bool = False
    structures: dict[tuple[int, int], Any] = field(default_factory=dict)

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
    def rows(self) -> Any:
        """The output as one row per image, as the task has it; raises `ModelError` for another kind of output."""
        with torch.enable_grad():  # float() is part of the graph, whatever the caller has switched off
            return rows_of(self.ask, self.output, len(self.inputs))


def run_forward(ask: Ask, inputs: Tensor) -> Pass:
    """One forward over a batch (n, c, H, W); the model comes back as it was."""
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


def rescore(ask: Ask, target: Target, total: int, batch: Callable[[int, int], Tensor], kind: str = "") -> Tensor:
    """The target's scores (total,) for the inputs that `batch(start, stop)` makes piece by piece."""

    def compute(start: int, stop: int) -> Tensor:
        inputs = batch(start, stop)
        return target.read_all(rows_of(ask, _quickly(ask, inputs), len(inputs)), kind)

    device = torch.device(ask.model.device)
    with ExitStack() as stack:
        stack.enter_context(borrowed(ask.model.module))
        stack.enter_context(torch.inference_mode())
        stack.enter_context(autocast(device, ask.precision))
        stack.enter_context(folded(_pairs(ask, batch) if total >= WORTH else ()))
        return ask.chunks.run(total, compute)


def _pairs(ask: Ask, batch: Callable[[int, int], Tensor]) -> Sequence[Pair]:
    """What can be folded: on a CPU in full precision, where it was measured to be faster. Looked for once."""
    chunks = ask.chunks
    if chunks.pairs is None:
        chunks.pairs = []
        if ask.precision == "fp32" and torch.device(ask.model.device).type == "cpu":
            with suppress(Exception):  # a model that this is too much for does without
                chunks.pairs = find_pairs(ask.model.module, batch(0, 1), lambda x: rows_of(ask, call(ask.model, x), 1))
    return chunks.pairs


def _quickly(ask: Ask, inputs: Tensor) -> Any:
    """The model's output, the inputs laid out as convolutions like them best if its own views allow that."""
    try:
        return call(ask.model, inputs.contiguous(memory_format=ask.chunks.layout))
    except (InputError, ModelError):
        if ask.chunks.layout == torch.contiguous_format:
            raise
        ask.chunks.layout = torch.contiguous_format
        return call(ask.model, inputs)


def call(model: Model, inputs: Tensor) -> Any:
    """The model's output; whatever it raises becomes words."""
    try:
        return part_of(model.module(inputs), model.output_key, model.name)
    except ModelError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        height, width = inputs.shape[2:]
        reason = str(error).partition("\n")[0] or type(error).__name__
        message = f"{model.name} does not accept an input of {width}×{height}: {reason}"
        native = model.preprocessing.crop
        if (height, width) != native:
            raise InputError(message, f"--fit squash shows the whole image at {native[1]}×{native[0]}") from error
        raise ModelError(message, "--input-size WIDTHxHEIGHT sets another size") from error


def rows_of(ask: Ask, output: Any, count: int) -> Any:
    """One row per image of a model's output."""
    return (ask.task or Classification(ask.model.name)).rows(output, count)
