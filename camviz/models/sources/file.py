"""Load a model from a file of weights alone: it is in the file, or its tensors show the architecture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camviz.errors import CheckpointError, RequestError, UnknownName, first_of
from camviz.models.checkpoint import Weights, check_file, fitted_model, kind_of, read_weights, settings_note
from camviz.models.checkpoint.dialects import variants
from camviz.models.checkpoint.files import holds_onnx, readable
from camviz.models.checkpoint.guesses import looks_like
from camviz.models.recognize import Match, alike, preferred, recognize, shapes_of
from camviz.models.sources import SOURCES, Plan, installed
from camviz.types import Model, ModelRequest, Preprocessing

if TYPE_CHECKING:
    from torch import nn


@SOURCES.add(
    "file", offers="FILE of weights or with a whole model: .pth, .ckpt, .safetensors, TorchScript, .pt2", runs_code="no"
)
def weights_file(name: str, request: ModelRequest) -> Plan:
    """A checkpoint as the only description of its model."""
    path = Path(name)
    if not path.exists():
        raise CheckpointError(f"no file of weights '{name}'", "--model FILE: .pth, .pt, .ckpt, .safetensors; or a name")
    onnx = holds_onnx(path) and installed("onnxruntime")
    if not onnx:
        check_file(path)
    if request.checkpoint and Path(request.checkpoint) != path:
        raise RequestError(
            f"two files of weights: '{name}' and '{request.checkpoint}'",
            f"--model {name} alone, or --model resnet50 --checkpoint {request.checkpoint}",
        )
    if request.weights not in ("default", "none") or (request.weights == "none" and not request.checkpoint):
        raise UnknownName(
            f"'{name}' brings its own weights, not '{request.weights}'", f"--model {name} without --weights"
        )
    request = replace(request, checkpoint=None, weights="default")
    if onnx:
        return Plan(path.name, lambda: _onnx(path, request))
    kind = kind_of(path)
    if kind == "torchscript":
        return Plan(path.name, lambda: _scripted(path, request))
    if kind == "exported":
        return Plan(path.name, lambda: _exported(path, request))
    return Plan(path.name, lambda: _weighed(path, request))


def _weighed(path: Path, request: ModelRequest) -> Model:
    """The model that tensors are for."""
    weights = read_weights(path, request.allow_pickle, request.checkpoint_key)
    if weights.pickled is not None:
        from camviz.models.sources.ultralytics import rebuilt

        return rebuilt(weights, str(path))
    if weights.module is not None:
        model = Model(type(weights.module).__name__, weights.module.float().eval())
        return replace(model, notes=("a whole pickled model", *settings_note(weights)))
    recognized = _recognized(weights, str(path), request)
    if isinstance(recognized, Model):
        return recognized
    raise recognized


def _recognized(weights: Weights, shown: str, request: ModelRequest) -> Model | CheckpointError:
    """The model that the tensors fit, or the error that says why there is none."""
    problems = []
    for state, stripped in variants(weights.state):
        shapes = shapes_of(state)
        matches = recognize(shapes)
        if not matches or matches[0].headless:
            problems.append((shapes, matches))
            continue
        match, others = preferred(matches, weights.settings.values())
        if match is None:
            return _several(shown, others)
        return _built(match, others, replace_state(weights, state, stripped), shown, request)
    shapes, bodies = next((problem for problem in problems if problem[1]), problems[0])
    match, others = preferred(bodies, weights.settings.values()) if bodies else (None, [])
    if match is not None:
        try:  # with the head that the tensors show
            return _built(match, others, weights, shown, request)
        except CheckpointError:
            pass
    return _no_architecture(shown, shapes, bodies)


def replace_state(weights: Weights, state: Any, notes: list[str]) -> Weights:
    """Return the weights with other names, and notes on the change."""
    return replace(weights, state=state, notes=[*weights.notes, *notes])


def _built(match: Match, others: list[Match], weights: Weights, shown: str, request: ModelRequest) -> Model:
    signature = match.signature
    if signature.source not in SOURCES:
        raise CheckpointError(
            f"'{shown}' is {signature.name} of {signature.source}, which camviz cannot load here",
            f"--model net.py:Net --checkpoint {shown}, with a function that builds it",
        )
    arguments = tuple((key, repr(value)) for key, value in match.arguments.items())
    asked = replace(request, spec=match.spec, weights="none", checkpoint=shown, arguments=arguments)
    if match.resized and not request.input_size:
        asked = replace(asked, input_size=(match.size, match.size))
    try:
        plan = SOURCES.find(signature.source).call(signature.name, asked)
    except UnknownName as error:
        raise CheckpointError(
            f"'{shown}' is {signature.name} of {signature.source}, a model for {signature.task}, "
            "which camviz cannot load by name",
            f"--model net.py:Net --checkpoint {shown}, with a function that builds it",
        ) from error
    from camviz.models.cheap_init import without_initialization

    with without_initialization():  # every tensor of it is in the file
        model = plan.build()
    if match.resized:
        model = replace(model, preprocessing=replace(model.preprocessing, crop=(match.size,) * 2, resize=match.size))
    also = f" (the same tensors fit {_names(others)})" if others else ""
    labels = model.labels if match.classes == len(model.labels) else ()
    model = replace(model, labels=labels, notes=(f"recognized: {match.spec}{also}",))
    return fitted_model(model, weights, shown)


def _names(matches: list[Match]) -> str:
    return first_of(dict.fromkeys(match.spec for match in matches))


def _several(shown: str, matches: list[Match]) -> CheckpointError:
    first = matches[0].spec
    if matches[0].resized and matches[0].signature.source == "timm":
        first += f" --input-size {matches[0].size}"
    return CheckpointError(
        f"'{shown}' fits {len({match.spec for match in matches})} architectures: {_names(matches)}",
        f"type which: --model {first} --checkpoint {shown}",
    )


def _no_architecture(shown: str, shapes: dict[str, tuple[int, ...]], bodies: list[Match]) -> CheckpointError:
    """The error for tensors of no known architecture, as specific as they allow."""
    typed = f"--model net.py:Net --checkpoint {shown}"
    if bodies:
        signature = bodies[0].signature
        head = [name for name in shapes if signature.head.path and name.startswith(signature.head.path)]
        has = f"a head of its own ({', '.join(head[:3])})" if head else "no head"
        return CheckpointError(
            f"'{shown}' has the body of {_names(bodies)} and {has}: no classes to explain",
            f"{typed}, where Net is a function that builds it with its head",
        )
    if guess := looks_like(shapes):
        return CheckpointError(f"'{shown}' looks like {guess.library}, which camviz does not build", guess.hint(shown))
    example = max(shapes, key=lambda name: len(shapes[name]), default="")
    some = (
        f"{len(shapes)} tensors, such as {example} {'×'.join(map(str, shapes[example]))}" if example else "no tensors"
    )
    if shapes and all(len(shape) < 3 for shape in shapes.values()) and not _attends(shapes):
        return CheckpointError(
            f"'{shown}' holds fully connected layers only ({some}): there is nothing in it to draw a map from",
            f"a method on pixels works with its code: {typed} --method gradient",
        )
    near = alike(shapes)
    if near:
        return CheckpointError(
            f"'{shown}' has the tensors of {near[0].spec} by name, but in other shapes ({some})", f"{typed}"
        )
    return CheckpointError(f"'{shown}' is for no architecture of torchvision or timm ({some})", typed)


def _attends(shapes: dict[str, tuple[int, ...]]) -> bool:
    return any(word in name for name in shapes for word in ("attn", "attention", "qkv", "pos_emb", "token"))


def _scripted(path: Path, request: ModelRequest) -> Model:
    """The model of a TorchScript archive: rebuilt, made of modules, or as it is; always with the same scores."""
    from camviz.models.checkpoint.interpret import agree
    from camviz.models.checkpoint.script import Sealed, input_shape, reaches, read_script, takes_several, with_hooks

    script = read_script(path, request.allow_pickle)
    size = (request.input_size[1], request.input_size[0]) if request.input_size else None
    shape = input_shape(script, path, size)
    sizes = f"input {'×'.join(map(str, shape))}" + ("" if size else ", found by trying (--input-size sets another)")
    weights = Weights(dict(script.state_dict()), [])
    recognized = _recognized(weights, str(path), request) if len(weights.state) > 4 else None
    if isinstance(recognized, Model) and agree(recognized.module.eval(), script, _sample(shape)):
        return replace(recognized, notes=("TorchScript, rebuilt with the same scores", *recognized.notes))
    module: nn.Module | None = with_hooks(script, shape)
    if module is not None and reaches(module, shape):
        return _program(path, module, shape, f"TorchScript: hooks reach its layers; {sizes}")
    single = not takes_several(script, shape)
    sealed = Sealed(script, shape[0], f"no hook reaches the layers of TorchScript file '{path.name}'", single)
    return _program(path, sealed, shape, f"TorchScript; {sizes}")


def _exported(path: Path, request: ModelRequest) -> Model:
    """The model of a `torch.export` archive: rebuilt where it is recognized, else the program itself."""
    from camviz.models.checkpoint.exported import input_of, modules_of, read_exported
    from camviz.models.checkpoint.script import Sealed

    program = read_exported(path, request.allow_pickle)
    with readable(path):
        shape = input_of(program)
    if len(shape) != 3:
        raise CheckpointError(
            f"'{path}' takes no image", "export a model of one input: (images, channels, height, width)"
        )
    with readable(path):
        module, several = modules_of(program, shape)
    channels, height, width = shape
    recognized = _recognized(Weights(dict(program.state_dict), []), str(path), request)
    if isinstance(recognized, Model):
        from camviz.models.checkpoint.interpret import agree

        if agree(recognized.module.eval(), module, _sample((channels, height, width), 1)):
            return replace(recognized, notes=("torch.export archive, rebuilt with the same scores", *recognized.notes))
    size = (channels, height, width)
    if several:
        return _program(path, module, size, "torch.export archive: hooks reach its layers")
    why = f"'{path.name}' was exported for one image at a time, so no hook reaches its layers"
    note = "torch.export archive for one image at a time; export a dynamic batch for methods with layers"
    return _program(path, Sealed(module, channels, why, True), size, note)


def _onnx(path: Path, request: ModelRequest) -> Model:
    """The model of an ONNX file, as onnxruntime runs it."""
    from camviz.models.checkpoint.onnx_model import read_onnx

    size = (request.input_size[1], request.input_size[0]) if request.input_size else None
    module, shape = read_onnx(path, size)
    return _program(path, module, shape, f"ONNX; input {'×'.join(map(str, shape))}")


def _sample(shape: tuple[int, int, int], count: int = 2) -> Any:
    import torch

    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def _program(path: Path, module: nn.Module, shape: tuple[int, int, int], note: str) -> Model:
    """The model of a file with its program, which states the size of its input at most: the rest is assumed.

    ImageNet's mean and std, or gray from 0 to 1.
    """
    channels, height, width = shape
    side = min(height, width)
    how = Preprocessing((height, width), 256 if side == 224 else side)
    how = replace(how, mean=(0.0,), std=(1.0,)) if channels == 1 else how
    return Model(
        path.name, module, how, sources={"preprocessing": "assumed, size as its program takes it"}, notes=(note,)
    )
