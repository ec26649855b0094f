"""Running only what comes behind a layer, on any module, without tracing.

One forward is recorded. Then every module that had finished before the layer answers with what it gave, the layer
answers with altered activations, and the model's own forward does the rest: residual additions included.
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
    """The outermost modules that had finished before the layer at `path` had; those that ran twice are left out."""
    runs = Counter(one.path for one in seen.layers)
    earlier: list[str] = []
    for one in seen.layers:
        if one.path == path:
            break
        earlier.append(one.path)
    whole = {other for other in earlier if runs[other] == 1 and not other.startswith(f"{path}.")}
    return [other for other in whole if not any(_inside(other, outer) for outer in whole)]


def _inside(path: str, outer: str) -> bool:
    return path.startswith(f"{outer}.")


@contextmanager
def answering(module: nn.Module, answers: Mapping[str, Any]) -> Iterator[None]:
    """Within the block the submodules at these paths return these outputs, without running."""
    before: list[tuple[nn.Module, Any]] = []
    try:
        for path, output in answers.items():
            part = module.get_submodule(path)
            before.append((part, part.__dict__.get("forward")))
            part.__dict__["forward"] = _constant(output)
        yield
    finally:
        for part, forward in before:
            if forward is None:
                del part.__dict__["forward"]
            else:
                part.__dict__["forward"] = forward


def _constant(output: Any) -> Callable[..., Any]:
    return lambda *_args, **_kwargs: output


def spread(output: Any, image: int, images: int, count: int) -> Any:
    """The part of a recorded output that belongs to one image of the batch, `count` times, without copying."""

    def part(tensor: Tensor) -> Tensor:
        if tensor.ndim and tensor.shape[0] == images:
            return tensor[image : image + 1].expand(count, *tensor.shape[1:])
        return tensor

    return mapped(output, part)


def copied(output: Any) -> Any:
    """A record that a later in-place operation cannot change."""
    return mapped(output, lambda tensor: tensor.detach().clone())


def mapped(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """An output with every tensor in it changed; containers are rebuilt."""
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, Mapping):
        return type(output)({key: mapped(value, change) for key, value in output.items()})  # type: ignore[call-arg]  # as dict and its like are made
    if is_dataclass(output) and not isinstance(output, type):
        return replace(output, **{one.name: mapped(getattr(output, one.name), change) for one in fields(output)})
    if isinstance(output, (tuple, list)):
        parts = [mapped(part, change) for part in output]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
    return output
