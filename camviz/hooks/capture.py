"""Hooks on a module that are removed at the end of a `with` block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from camviz.errors import ModelError


@contextmanager
def borrowed(module: nn.Module) -> Iterator[nn.Module]:
    """Within the block the module is in evaluation mode with frozen parameters; both are restored at the end."""
    parts = _parts(module)
    training = [part for part in parts if part.training]
    owned = [parameter for part in parts for parameter in part._parameters.values()]
    trained = [parameter for parameter in owned if parameter is not None and parameter.requires_grad]
    try:
        for part in training:
            part.training = False
        for parameter in trained:
            parameter.requires_grad = False
        yield module
    finally:
        for part in training:
            part.training = True
        for parameter in trained:
            parameter.requires_grad = True


def _parts(module: nn.Module) -> list[nn.Module]:
    """Return all modules, each once. `modules()` also builds every path, which is slow for small models."""
    modules, seen = [module], {module}
    for part in modules:  # the list grows
        for child in part._modules.values():
            if child is not None and child not in seen:
                seen.add(child)
                modules.append(child)
    return modules


@contextmanager
def hooks() -> Iterator[list[Any]]:
    """Yield a list for hook handles; every handle in it is removed at the end of the block."""
    handles: list[Any] = []
    try:
        yield handles
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def watch(modules: Mapping[str, nn.Module], record: Callable[[str, nn.Module, Any, Any], Any]) -> Iterator[None]:
    """Call `record(path, module, inputs, output)` after every forward of each module."""

    def hook_for(path: str) -> Callable[[nn.Module, Any, Any], Any]:
        return lambda module, inputs, output: record(path, module, inputs, output)

    with hooks() as handles:
        for path, module in modules.items():
            handles.append(module.register_forward_hook(hook_for(path)))
        yield


def first_tensor(output: Any) -> Tensor | None:
    """Return the output itself if it is a tensor, else the first tensor in a tuple, list, mapping or dataclass."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        output = list(output.values())
    elif is_dataclass(output) and not isinstance(output, type):
        output = [getattr(output, item.name) for item in fields(output)]
    if isinstance(output, Sequence) and not isinstance(output, str):
        for part in output:
            tensor = first_tensor(part)
            if tensor is not None:
                return tensor
    return None


def with_first_tensor(output: Any, replacement: Tensor) -> Any:
    """Return `output` with its `first_tensor` replaced; containers are rebuilt, not modified."""
    if isinstance(output, Tensor):
        return replacement
    if isinstance(output, Mapping):
        keys = list(output)
        values = with_first_tensor(list(output.values()), replacement)
        return type(output)(zip(keys, values, strict=True))  # type: ignore[call-arg]  # as dict and its subclasses are constructed
    if is_dataclass(output) and not isinstance(output, type):
        name = next(item.name for item in fields(output) if first_tensor(getattr(output, item.name)) is not None)
        return replace(output, **{name: with_first_tensor(getattr(output, name), replacement)})
    parts = list(output)
    for position, part in enumerate(parts):
        if first_tensor(part) is not None:
            parts[position] = with_first_tensor(part, replacement)
            break
    if hasattr(output, "_fields"):  # a named tuple takes its fields one by one
        return type(output)(*parts)
    return type(output)(parts)


def part_of(output: Any, key: str, name: str) -> Any:
    """Return the part of an output at `key`, such as "aux" or "decoder.0.logits"; without a key all of it."""
    for step in key.split(".") if key else ():
        try:
            if isinstance(output, Mapping):
                output = output[step]
            else:
                output = output[int(step)] if step.lstrip("-").isdigit() else getattr(output, step)
        except (KeyError, IndexError, AttributeError, TypeError) as error:
            known = ", ".join(map(str, _keys(output)))
            raise ModelError(
                f"the output of {name} has no '{step}' ({type(output).__name__})",
                f"--output-key takes {known}" if known else "leave --output-key out: this output has no parts",
            ) from error
    return output


def parts_of(output: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of an output with its key for `part_of`."""
    if isinstance(output, Tensor):
        yield prefix.rstrip("."), output
        return
    for key in _keys(output):
        yield from parts_of(part_of(output, str(key), ""), f"{prefix}{key}.")


def _keys(output: Any) -> list[Any]:
    if isinstance(output, Mapping):
        return list(output)
    if is_dataclass(output) and not isinstance(output, type):
        return [item.name for item in fields(output)]
    if isinstance(output, (list, tuple)):
        return list(getattr(output, "_fields", range(len(output))))
    return []


@contextmanager
def capture(
    module: nn.Module, paths: Sequence[str], gradients: bool, runs: Mapping[str, int] | None = None
) -> Iterator[dict[str, Tensor]]:
    """Record the outputs of the layers at `paths` while the block runs a forward: of `runs`, counted from 1, or last.

    With `gradients`, a recorded tensor can be differentiated to (`torch.autograd.grad(score, recorded)`): the
    first layer met cuts the graph, so that nothing before it costs anything, and nothing reaches `.grad`. The
    model goes on with a clone, so that an in-place operation behind the layer cannot change the record.
    """
    recorded: dict[str, Tensor] = {}
    counts = Counter[str]()

    def record(path: str, _module: nn.Module, _inputs: Any, output: Any) -> Any:
        tensor = first_tensor(output)
        counts[path] += 1
        if tensor is None or counts[path] != (runs or {}).get(path, counts[path]):
            return None
        if not gradients:
            recorded[path] = tensor
            return with_first_tensor(output, tensor.clone())
        with torch.inference_mode(False), torch.enable_grad():
            if not tensor.requires_grad:
                tensor = (tensor.clone() if tensor.is_inference() else tensor.detach()).requires_grad_()
            recorded[path] = tensor
            following = tensor.clone()
        torch.set_grad_enabled(True)  # for the rest of a trunk that the model itself runs under no_grad
        return with_first_tensor(output, following)

    with watch({path: module.get_submodule(path) for path in paths}, record), torch.set_grad_enabled(gradients):
        yield recorded


@contextmanager
def replaced(module: nn.Module, path: str, tensor: Tensor) -> Iterator[None]:
    """Within the block the layer at `path` runs, and its output is replaced by `tensor`."""

    def swap(_path: str, _module: nn.Module, _inputs: Any, output: Any) -> Any:
        return with_first_tensor(output, tensor)

    with watch({path: module.get_submodule(path)}, swap):
        yield
