"""Run one forward pass and keep the tensors that methods need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from camviz.engine.tail_replay import copied
from camviz.errors import InputError, ModelError
from camviz.hooks.bn_folding import WORTH, Pair, find_pairs, folded
from camviz.hooks.capture import borrowed, capture, watch
from camviz.hooks.chunks import Chunks, out_of_memory
from camviz.hooks.devices import autocast
from camviz.models.failures import failure, is_about_size
from camviz.models.outputs import forward
from camviz.tasks import Task
from camviz.tasks.classification import Classification
from camviz.types import Layer, Model, Target

MASKS_AT_ONCE = 5  # on a CPU more is not faster, and the peak is the first layer's output for all of them


@dataclass(frozen=True, eq=False)
class ForwardRequest:
    """What a forward pass must capture: which layers, for which task, at which precision, chunk size and seed.

    By a layer's path: `frozen` are the modules whose outputs are recorded for replaying the tail, `stages` the
    last layers of the finer resolutions before it. `head`: record the inputs of linear layers, to find the last one.
    `structures`: the structure of the model's attention by input size.
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
    def runs(self) -> dict[str, int]:
        """The runs to capture, of layers whose last run does not see the image."""
        return {layer.path: layer.run for layer in self.layers if layer.run}

    @property
    def captured(self) -> list[str]:
        """The paths of all layers to capture."""
        paths = [layer.path for layer in self.layers]
        paths += [stage.path for stages in self.stages.values() for stage in stages]
        return list(dict.fromkeys(paths))


@dataclass(eq=False)
class ForwardPass:
    """One forward pass: inputs (n, c, H, W), the model's output, the layers' tensors, recorded outputs."""

    ask: ForwardRequest
    inputs: Tensor
    output: Any
    captured: Mapping[str, Tensor]
    outputs: Mapping[str, Any]  # whole outputs of the layers and of the frozen modules, where requested
    head: tuple[Tensor, Tensor] | None  # if requested: weight (classes, c) and input (n, c) of a linear last layer

    @cached_property
    def rows(self) -> Any:
        """The output as one row per image, as the task defines it; raises `ModelError` for another kind of output."""
        with torch.enable_grad():  # float() is part of the graph, whatever the caller disabled
            return rows_of(self.ask, self.output, len(self.inputs))


def run_forward(ask: ForwardRequest, inputs: Tensor) -> ForwardPass:
    """Run one forward over a batch (n, c, H, W); the model is left unchanged."""
    module = ask.model.module
    heads: list[tuple[Tensor, Tensor, Tensor]] = []
    outputs: dict[str, Any] = {}

    def record_head(_path: str, linear: nn.Module, inputs_: Any, output: Any) -> None:
        assert isinstance(linear, nn.Linear | nn.Conv2d)
        if inputs_[0].flatten(1).shape[1] == linear.weight[0].numel():  # a convolution after pooling sees one position
            heads.append((linear.weight.detach().flatten(1), inputs_[0].detach().flatten(1), output))

    def record_output(path: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        outputs[path] = copied(output)

    submodules = module.named_modules() if ask.head else ()
    linears = {path: submodule for path, submodule in submodules if isinstance(submodule, nn.Linear | nn.Conv2d)}
    recorded = {path for layer, before in ask.frozen.items() for path in (layer, *before)}
    with ExitStack() as stack:
        stack.enter_context(borrowed(module))
        stack.enter_context(watch(linears, record_head))
        stack.enter_context(watch({path: module.get_submodule(path) for path in recorded}, record_output))
        captured = stack.enter_context(capture(module, ask.captured, ask.gradients, ask.runs))
        stack.enter_context(autocast(inputs.device, ask.precision))
        output = call(ask.model, inputs)
    head = next(((weight, pooled) for weight, pooled, scores in reversed(heads) if _same_values(scores, output)), None)
    return ForwardPass(ask, inputs, output, captured, outputs, head)


def _same_values(scores: Tensor, output: Any) -> bool:
    """Return whether the output is this tensor, or a view of all its values."""
    same = isinstance(output, Tensor) and output.data_ptr() == scores.data_ptr() and output.numel() == scores.numel()
    return same or output is scores


def rescore(
    ask: ForwardRequest, target: Target, total: int, batch: Callable[[int, int], Tensor], kind: str = ""
) -> Tensor:
    """Return the target's scores (total,) for the inputs that `batch(start, stop)` makes chunk by chunk."""

    def compute(start: int, stop: int) -> Tensor:
        inputs = batch(start, stop)
        return target.read_all(rows_of(ask, _call_in_layout(ask, inputs), len(inputs)), kind)

    device = torch.device(ask.model.device)
    with ExitStack() as stack:
        stack.enter_context(borrowed(ask.model.module))
        stack.enter_context(torch.inference_mode())
        stack.enter_context(autocast(device, ask.precision))
        stack.enter_context(folded(_pairs(ask, batch) if total >= WORTH else ()))
        return ask.chunks.run(total, compute)


def _pairs(ask: ForwardRequest, batch: Callable[[int, int], Tensor]) -> Sequence[Pair]:
    """Return the BatchNorm layers to fold, searched once: only on a CPU in fp32, where it was measured to be faster."""
    chunks = ask.chunks
    if chunks.pairs is None:
        chunks.pairs = []
        if ask.precision == "fp32" and torch.device(ask.model.device).type == "cpu":
            with suppress(Exception):  # a model for which the search fails runs without folding
                chunks.pairs = find_pairs(ask.model.module, batch(0, 1), lambda x: rows_of(ask, call(ask.model, x), 1))
    return chunks.pairs


def _call_in_layout(ask: ForwardRequest, inputs: Tensor) -> Any:
    """Return the model's output for inputs in the fastest memory format that its own `view` calls allow."""
    try:
        return call(ask.model, inputs.contiguous(memory_format=ask.chunks.layout))
    except (InputError, ModelError):
        if ask.chunks.layout == torch.contiguous_format:
            raise
        ask.chunks.layout = torch.contiguous_format
        return call(ask.model, inputs)


@contextmanager
def named_failures(model: Model, inputs: Tensor) -> Iterator[None]:
    """Raise `InputError` or `ModelError` for any exception of the model in the block, except running out of memory.

    Hooks that end a forward pass belong inside the block: finding an input size that works runs the model again.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        size, native = (inputs.shape[2], inputs.shape[3]), model.preprocessing.crop
        explained = failure(model.module, model.name, inputs.shape[1], size, error)
        if size != native and is_about_size(explained):
            squash = f"--fit squash shows the whole image at {native[1]}×{native[0]}"
            raise InputError(explained.message, squash) from error
        raise explained from error


def call(model: Model, inputs: Tensor) -> Any:
    """Return the model's output, the part `output_key` if set. Raises as `named_failures` does."""
    with named_failures(model, inputs):
        return forward(model, inputs)


def rows_of(ask: ForwardRequest, output: Any, count: int) -> Any:
    """Return a model's output as one row per image."""
    return (ask.task or Classification(ask.model.name)).rows(output, count)
