"""What a model's output means: which part is read, for which task, logits or probabilities, and how that was found.

The graph of torch functions decides (a softmax, a norm, a classifier as the last operation); values are computed only
where it shows an activation that is not the very last operation. Nothing is guessed silently: `Output.sources` has the
origin of each finding, and `assumptions` is what a user must be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from camviz.errors import ModelError
from camviz.hooks.capture import borrowed, part_of, parts_of
from camviz.hooks.operations import Call, Trace, without
from camviz.models import endings
from camviz.models.survey import Survey, float_type, survey
from camviz.tasks import TASKS, described, recognized
from camviz.tasks.outputs import NO_ENDING, Ending, Output
from camviz.types import Model

_NAMES = (  # of parts, the first that is there decides
    "logits",
    "logit",
    "scores",
    "score",
    "out",
    "output",
    "outputs",
    "pred",
    "preds",
    "prediction",
    "predictions",
)


@dataclass(frozen=True, eq=False)
class _Part:
    """One tensor of an output: its key, the call that made it, and the call before its activation."""

    key: str
    tensor: Tensor
    call: Call | None
    core: Call | None
    ending: Ending

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape[1:])

    @property
    def name(self) -> str:
        return self.key.rpartition(".")[2].casefold()


def understand(model: Model, seen: Survey) -> tuple[Model, Survey]:
    """Return the model with its `output` found, and the survey of the layers that this part depends on.

    Raises `ModelError` for several parts of which none stands out, and for outputs without gradients.
    """
    if model.output is None:
        model = replace(model, output=_find(model, seen))
    assert model.output
    return model, _narrowed(seen, model.output)


def surveyed(model: Model) -> Survey:
    """Return a survey of the layers that the output depends on; of all layers where its meaning is unknown."""
    seen = survey(model.module, model.preprocessing.crop, model.name)
    with suppress(ModelError):
        return understand(model, seen)[1]
    return seen


def _find(model: Model, seen: Survey) -> Output:
    key, part_source = model.output_key, "given"
    if not key:
        key, part_source = _choose_part(model, seen)
    whole = part_of(seen.output, key, model.name)
    raw = part_of(seen.raw, key, model.name)
    call = seen.trace.maker(raw) if seen.trace and isinstance(raw, Tensor) else None
    if isinstance(raw, Tensor):
        _check_kind(model.name, raw, call)
    boxes = model.task == "detection" or (not model.task and _are_boxes(whole, model))  # scores beside sides
    found = endings.find(call, raw) if isinstance(raw, Tensor) and not boxes else endings.Found()
    source = "from the graph" if call else "assumed"
    if isinstance(raw, Tensor) and not boxes and found.witness_needed(call):
        activation = endings.of_values(_values(model, seen, key))
        if activation and (activation == "softmax" or "sigmoid" in found.nearby or not call):
            found, source = replace(found, ending=Ending(activation), inverted=True), "from the values"
    task, task_source = model.task, model.sources.get("task", "from the model")
    if not task:
        task, task_source = recognized(model, whole, found.ending)
        if found.ending.activation or found.ending.embedding:
            task_source = source
    shape = tuple(whole.shape[1:]) if isinstance(whole, Tensor) else ()
    shape = shape[:1] if shape[1:] == (1, 1) else shape
    return Output(
        key,
        task,
        found.ending,
        None if task == "detection" else shape[0] if shape else 1 if isinstance(whole, Tensor) else None,
        shape,
        found.sites,
        found.inverted,
        {"part": part_source, "task": task_source, "activation": source},
    )


def _are_boxes(whole: Any, model: Model) -> bool:
    return TASKS.find("detection").call.recognizes(whole, model.labels, NO_ENDING)


def _check_kind(name: str, tensor: Tensor, call: Call | None) -> None:
    """Raise `ModelError` for an output that no gradient reaches."""
    if tensor.is_complex():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ModelError(
            f"the output of {name} is complex ({kind}), which cannot be a score", "return its real part, or its abs()"
        )
    step = endings.without_gradient(call)
    if step or not tensor.is_floating_point():
        kind = f"by {step}() " if step else ""
        shown = str(tensor.dtype).removeprefix("torch.")
        raise ModelError(
            f"the output of {name} is rounded {kind}to {shown} {described(tensor[:1])}: no gradient reaches the model",
            "return the scores before argmax or rounding",
        )


def _choose_part(model: Model, seen: Survey) -> tuple[str, str]:
    """Return the key of the part that is read, and how it was found."""
    if isinstance(seen.output, Tensor) or any(entry.call.structured(seen.output) for entry in TASKS):
        return "", "only part"
    parts = _parts(seen)
    if len(parts) < 2:
        if not parts and not list(parts_of(seen.output)):
            raise ModelError(
                f"the output of {model.name} has no tensor: {described(seen.output)}", "return a tensor of scores"
            )
        return (parts[0].key if parts else next(iter(parts_of(seen.output)))[0]), "only part"
    named = _by_name(parts)
    counted = [part for part in parts if model.labels and part.shape[:1] == (len(model.labels),)]
    if named and (not counted or named in counted):
        return named.key, "from the name"
    distinct = _distinct(counted or parts, seen.trace)
    if len(distinct) == 1:
        return distinct[0].key, "from the labels" if counted else "from the graph"
    heads = [part for part in distinct if part.call and not part.ending.embedding]
    last = _last(distinct, seen.trace) or (heads[0] if len(heads) == 1 else None)
    if last:
        return last.key, "from the graph"
    listed = ", ".join(f"{part.key} ({'×'.join(map(str, part.shape)) or '1'})" for part in parts)
    raise ModelError(
        f"the output of {model.name} has {len(parts)} parts, and which one to explain is unknown: {listed}",
        f"--output-key {parts[0].key}",
    )


def _parts(seen: Survey) -> list[_Part]:
    """Return the tensors of floating-point numbers with a row per image."""
    images = seen.images
    parts = []
    for key, tensor in parts_of(seen.raw):
        if tensor.ndim and tensor.shape[0] == images and (tensor.is_floating_point() or tensor.is_complex()):
            call = seen.trace.maker(tensor) if seen.trace else None
            found = endings.find(call, tensor)
            parts.append(_Part(key, tensor, call, found.core or call, found.ending))
    return parts


def _by_name(parts: Sequence[_Part]) -> _Part | None:
    for name in _NAMES:
        matches = [part for part in parts if part.name == name or (name == "pred" and part.name.startswith("pred"))]
        if len(matches) == 1:
            return matches[0]
    return None


def _distinct(parts: Sequence[_Part], trace: Trace | None) -> list[_Part]:
    """Return one part for the same scores: logits rather than their probabilities."""
    if trace is None:
        return list(parts)
    chosen: dict[Any, _Part] = {}
    for part in parts:
        before = chosen.get(part.core)
        same = before and part.core and (before.ending.activation or part.ending.activation)
        if not same:
            chosen[part.core if part.core not in chosen else part] = part
        elif before and before.ending.activation and not part.ending.activation:
            chosen[part.core] = part
    return list(chosen.values())


def _last(parts: Sequence[_Part], trace: Trace | None) -> _Part | None:
    """Return the part that is computed from all others."""
    for part in parts if trace else ():
        if part.call is None or trace is None:
            continue
        before = trace.before(part.call)
        if all(other is part or (other.core in before) for other in parts):
            return part
    return None


def _values(model: Model, seen: Survey, key: str) -> Tensor:
    """Return the output for a random image, for the cases in which the graph does not decide."""
    channels = len(model.preprocessing.mean)
    device = next((p.device for p in model.module.parameters()), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn((1, channels, *seen.input_size), generator=generator).to(device, float_type(model.module))
    with borrowed(model.module), torch.no_grad():
        values: Tensor = part_of(model.module(inputs), key, model.name)
    return values.float()


def _narrowed(seen: Survey, output: Output) -> Survey:
    """Return the survey with the part alone, and the layers that it depends on if there are other parts."""
    whole = part_of(seen.output, output.key, "")
    raw = part_of(seen.raw, output.key, "")
    layers = seen.layers
    call = seen.trace.maker(raw) if seen.trace and isinstance(raw, Tensor) else None
    if call and seen.trace and len(list(parts_of(seen.raw))) > 1:
        before = seen.trace.before(call)
        if seen.trace.calls[0] in before:  # the chain of calls is complete
            needed = seen.trace.tensors_of(before)
            layers = tuple(run for run in layers if run.output in needed) or layers
    shape = output.shape if isinstance(whole, Tensor) else seen.output_shape
    return replace(seen, layers=layers, output=whole, output_shape=shape, task=output.task)


def forward(model: Model, inputs: Tensor) -> Any:
    """Return the part of the model's output that is read, as logits; inputs are cast to the model's precision."""
    output = model.output or Output(model.output_key)
    with without(model.module, output.sites):
        raw = part_of(model.module(inputs.to(float_type(model.module))), output.key, model.name)
    if output.inverted:
        return endings.inverse(raw.float(), output.ending.activation)
    return raw


def assumptions(model: Model) -> list[str]:
    """Return what was assumed about the output, for the user."""
    output = model.output
    if output is None or output.sources.get("task") not in ("assumed", "from the shape"):
        return []
    return [f"output: {output}; --task, --output-key and --labels set it"]
