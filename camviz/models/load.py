"""`load`: from what somebody typed to a `Model`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camviz.errors import RequestError, fold, unknown
from camviz.models.checkpoint import SUFFIXES, Weights, check_file, fitted_model, read_weights
from camviz.models.checkpoint.dialects import variants
from camviz.models.extra_inputs import check_inputs, with_inputs
from camviz.models.labels import read_labels
from camviz.models.sources import SOURCES, Plan, check_weights, untrained
from camviz.models.typed import typed_model
from camviz.tasks import TASKS
from camviz.types import Model, ModelRequest, Order

if TYPE_CHECKING:
    from torch import nn


def load(
    spec: str | Path | nn.Module,
    *,
    weights: str = "default",
    checkpoint: str | Path | None = None,
    labels: str | Path | Sequence[str] | Mapping[int, str] | None = None,
    arguments: Mapping[str, Any] | None = None,
    allow_pickle: bool = False,
    input_size: tuple[int, int] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    channel_order: Order = "rgb",
    task: str = "",
    output_key: str = "",
    checkpoint_key: str = "",
    preprocess: Callable[[Any], Any] | None = None,
    inputs: Callable[..., Any] | Mapping[str, Any] | None = None,
    outputs: Callable[[Any], Any] | None = None,
    range: tuple[float, float] | None = None,
    window: tuple[float, float] | None = None,
    device: str | None = None,
) -> Model:
    """Load a model: a name of torchvision, "demo", "timm:NAME", "hf:FOLDER", "net.py:Net", "my.pth", or a module.

    `input_size` is (width, height). `mean` and `std` are for pixels of 0 to 1, or of `range`, the model's black and
    white; `window` are the stored values of black and white beyond eight bits. `preprocess(image)` maps a PIL image to
    (c, h, w), `inputs(batch)` to the arguments of forward, `outputs(raw)` to logits, boxes or masks. `inputs` may also
    be further arguments of forward by name: a file, an array, a number, a folder or a function of the `Image`. Without
    `device` an `nn.Module` stays where it is, anything else goes to the CPU. Raises `CamvizError`s with a hint.
    """
    request = ModelRequest(
        spec if isinstance(spec, str) else str(spec) if isinstance(spec, Path) else "",
        weights,
        str(checkpoint) if checkpoint else None,
        str(labels) if isinstance(labels, (str, Path)) and str(labels) else None,
        tuple((key, repr(value)) for key, value in (arguments or {}).items()),
        allow_pickle,
        input_size,
        tuple(mean) if mean else None,
        tuple(std) if std else None,
        channel_order,
        TASKS.find(task).name if task else "",
        output_key,
        checkpoint_key,
        range,
        window,
    )
    names = None if isinstance(labels, (str, Path)) else labels
    description = {"labels": names, "preprocess": preprocess, "inputs": inputs, "outputs": outputs}
    return _loaded(spec, request, description, device)


def _loaded(
    spec: str | Path | nn.Module, request: ModelRequest, description: dict[str, Any], device: str | None
) -> Model:
    if isinstance(spec, (str, Path)):
        return to_device(_described(plan(request).build(), description), device or "cpu")
    model = _of_module(spec, _settled_weights(request), description)
    return to_device(model, device) if device else model


def _of_module(module: nn.Module, request: ModelRequest, description: dict[str, Any]) -> Model:
    from camviz.models.adapters import reset

    check_weights(request, "a model you built", "give a file that exists")
    reset(module)
    model = _with_checkpoint(Model(type(module).__name__, module), request, _weights(request))
    return _finish(_described(model, description), request)


def _described(model: Model, description: dict[str, Any]) -> Model:
    """Return the model with what was given for it in Python."""
    from camviz.models.sources.self_description import described

    inputs = description["inputs"]
    if isinstance(inputs, Mapping):
        model = with_inputs(model, inputs)
        description = {**description, "inputs": None}
    return described(model, description, "the arguments of load")


def _finish(model: Model, request: ModelRequest) -> Model:
    from camviz.models.finish import finish  # from here on torch is imported

    return replace(finish(with_inputs(model, dict(request.inputs)), request), typed=typed_model(request))


def plan(request: ModelRequest) -> Plan:
    """Check a request without importing torch, and say how to build the model it asks for."""
    request = _settled_weights(request)
    if request.checkpoint:
        check_file(Path(request.checkpoint))
    check_inputs(request.inputs)
    labels = read_labels(Path(request.labels)) if request.labels else ()
    prefix, name = _split(request.spec)
    if request.arguments and prefix not in ("py", "timm", "torchhub"):
        raise RequestError(
            f"--model-args cannot change '{request.spec}'",
            "they are for your own, torchhub and timm: --model net.py:Net --model-args depth=20",
        )
    source = SOURCES.find(prefix).call(name, request)

    @_drawn_alike()
    def build() -> Model:
        weights = _weights(request)
        arguments = _told_arguments(prefix, name, request, weights)
        made = SOURCES.find(prefix).call(name, replace(request, arguments=arguments)) if arguments else source
        model = made.build()
        model.module.eval()
        if arguments:
            given = " ".join(f"{key}={text}" for key, text in arguments) + (" (--model-args)" if prefix == "py" else "")
            model = replace(model, notes=(*model.notes, f"arguments from the checkpoint: {given}"))
        return _finish(_with_checkpoint(model, request, weights), request)

    return replace(
        source,
        task=request.task or source.task,
        labels=labels or (() if request.checkpoint else source.labels),
        build=build,
        skeleton=lambda: _finish((source.skeleton or source.build)(), request),
    )


@contextmanager
def _drawn_alike() -> Iterator[None]:
    """Within the block weights that nothing trained are drawn the same every time.

    A run that goes on, its shards and its processes must all have the same model. The caller's own draws go on
    where they were.
    """
    import torch

    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(0)
    try:
        yield
    finally:
        torch.default_generator.set_state(before)


def runs_code(spec: str) -> bool:
    """Return whether loading a model of this name runs code that is not part of an installed package."""
    return SOURCES.find(_split(spec)[0]).facts.get("runs_code") != "no"


def to_device(model: Model, device: str) -> Model:
    """The model with its model moved to `device` ("auto", "cpu", "cuda:1", …)."""
    from camviz.hooks.devices import pick_device

    model.module.to(pick_device(device))
    return model


def _split(spec: str) -> tuple[str, str]:
    """(source, name) of what was typed."""
    prefix, colon, name = spec.partition(":")
    if colon and (source := SOURCES.match(prefix)):
        return source, name
    if spec.endswith(".py") or ".py:" in spec:
        return "py", spec
    if spec.endswith(SUFFIXES) or Path(spec).is_file():
        return "file", spec
    if colon and prefix.isalnum() and len(prefix) > 1:
        raise unknown("model source", prefix, SOURCES.names(), listing="'camviz models'")
    return ("demo", "demo") if fold(spec) == "demo" else ("torchvision", spec)


def _settled_weights(request: ModelRequest) -> ModelRequest:
    """The request with untrained weights as "none", and --weights FILE as what it is, a checkpoint."""
    if untrained(request):
        return replace(request, weights="none")
    if request.weights == "default" or not Path(request.weights).is_file():
        return request
    if request.checkpoint and request.checkpoint != request.weights:
        raise RequestError(f"two files of weights: '{request.weights}' and '{request.checkpoint}'", "give one of them")
    return replace(request, weights="none", checkpoint=request.weights)


def _weights(request: ModelRequest) -> Weights | None:
    if not request.checkpoint:
        if request.checkpoint_key and _split(request.spec)[0] != "file":
            raise RequestError(
                f"--checkpoint-key {request.checkpoint_key} without a checkpoint", "add --checkpoint FILE"
            )
        return None
    prefix, name = _split(request.spec) if request.spec else ("", "")
    classes = None
    if prefix == "py" and request.allow_pickle:
        from camviz.models.sources.python_file import classes_of

        classes = classes_of(name)
    return read_weights(Path(request.checkpoint), request.allow_pickle, request.checkpoint_key, classes)


def _told_arguments(
    prefix: str, name: str, request: ModelRequest, weights: Weights | None
) -> tuple[tuple[str, str], ...]:
    """The hyper-parameters of a checkpoint that are arguments of the model, unless some were typed.

    Of torchvision's detectors and segmenters it is the number of classes, as the tensors tell it.
    """
    if prefix == "torchvision" and weights is not None:
        from camviz.models.recognize import classes_in, shapes_of

        counts = [classes_in(name, shapes_of(state)) for state, _ in variants(weights.state)]
        return tuple(("num_classes", str(count)) for count in counts if count)[:1]
    if prefix != "py" or request.arguments or weights is None:
        return ()
    from camviz.models.sources.python_file import parameters_of

    known = parameters_of(name)
    nested = [value for value in weights.settings.values() if isinstance(value, dict)]
    settings = {key: value for group in [*nested, weights.settings] for key, value in group.items()}
    return tuple((str(key), repr(value)) for key, value in settings.items() if key in known)


def _with_checkpoint(model: Model, request: ModelRequest, weights: Weights | None) -> Model:
    if weights is None or request.checkpoint is None:
        return model
    return fitted_model(model, weights, request.checkpoint)
