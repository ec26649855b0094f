"""Run only the part of a module after a layer (its tail), on any module, without tracing.

One forward is recorded. In the replay every module that finished before the layer returns its recorded output, the
layer returns altered activations, and the model's own forward computes the rest, including residual additions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor, nn

from camviz.models.survey import Survey


def finished_before(seen: Survey, path: str) -> list[str]:
    """Return the outermost modules that finished before the layer at `path`, without those that ran twice."""
    runs = Counter(layer.path for layer in seen.layers)
    earlier: list[str] = []
    for layer in seen.layers:
        if layer.path == path:
            break
        earlier.append(layer.path)
    once = {other for other in earlier if runs[other] == 1 and not other.startswith(f"{path}.")}
    return [other for other in once if not any(_inside(other, outer) for outer in once)]


def _inside(path: str, outer: str) -> bool:
    return path.startswith(f"{outer}.")


@contextmanager
def substituted(module: nn.Module, outputs: Mapping[str, Any]) -> Iterator[None]:
    """Make the submodules at these paths return these outputs without running, within the block."""
    before: list[tuple[nn.Module, Any]] = []
    try:
        for path, output in outputs.items():
            submodule = module.get_submodule(path)
            before.append((submodule, submodule.__dict__.get("forward")))
            submodule.__dict__["forward"] = _constant(output)
        yield
    finally:
        for submodule, forward in before:
            if forward is None:
                del submodule.__dict__["forward"]
            else:
                submodule.__dict__["forward"] = forward


def _constant(output: Any) -> Callable[..., Any]:
    return lambda *_args, **_kwargs: output


def spread(output: Any, image: int, images: int, count: int) -> Any:
    """Return the part of a recorded output that belongs to one image of the batch, `count` times, without copying."""

    def part(tensor: Tensor) -> Tensor:
        if tensor.ndim and tensor.shape[0] == images:
            return tensor[image : image + 1].expand(count, *tensor.shape[1:])
        return tensor

    return mapped(output, part)


def copied(output: Any) -> Any:
    """Return a copy that a later in-place operation cannot change."""
    return mapped(output, lambda tensor: tensor.detach().clone())


def mapped(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return the output with `change` applied to every tensor; containers are rebuilt."""
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, Mapping):
        return type(output)({key: mapped(value, change) for key, value in output.items()})  # type: ignore[call-arg]  # a dict's constructor
    if is_dataclass(output) and not isinstance(output, type):
        return replace(output, **{field.name: mapped(getattr(output, field.name), change) for field in fields(output)})
    if isinstance(output, (tuple, list)):
        parts = [mapped(part, change) for part in output]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
    return output
