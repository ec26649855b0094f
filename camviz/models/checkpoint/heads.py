"""Rebuild the classifier that a checkpoint was trained with, from its tensors, in the place of the model's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from camviz.models.checkpoint.dialects import State

_PLACES = ("fc", "classifier", "head", "head.fc", "heads", "heads.head", "linear", "last_linear", "logits", "cls_head")
_LARGEST = 10_000_000_000  # elements of a layer that is rebuilt


def rebuild_head(module: nn.Module, state: State, beside: State) -> tuple[State, list[str]]:
    """Replace the model's head where the tensors show another one; return the state with names for it, and a note.

    `state` are the tensors under the model's names, `beside` those outside the part that was taken. A head is one
    Linear, or a Sequential of Linear and norm layers; layers without tensors between them are not in a file, so a
    ReLU is assumed and noted.
    """
    expected = module.state_dict()
    path = head_path(module)
    if not path:
        return state, []
    odd = {name for name in state if name not in expected or state[name].shape != expected[name].shape}
    for place in _containers(module, path):
        absent = {name for name in expected if name not in state or state[name].shape != expected[name].shape}
        absent = {name for name in absent if not name.endswith("num_batches_tracked")}
        if not absent or any(not name.startswith(f"{place}.") for name in absent):
            continue
        for prefix, tensors in _candidates(place, {**{name: state[name] for name in odd}, **beside}):
            tops = {place.partition(".")[0], prefix.partition(".")[0]}
            left = [name for name in odd if name.partition(".")[0] in tops and not name.startswith(f"{prefix}.")]
            if left:  # layers of a head that this candidate does not have
                continue
            inside = {f"{path}.{name}" for name, _ in module.get_submodule(path).named_parameters()}
            if prefix == place == path and inside == {f"{path}.{name}" for name in tensors} <= odd:
                return state, []  # another number of classes only
            head, shown = _made(
                tensors, expected[f"{path}.weight"].shape[1] if place == path else _width(module, place)
            )
            if head is None:
                continue
            parent, _, name = place.rpartition(".")
            setattr(module.get_submodule(parent), name, head)
            kept = {key: tensor for key, tensor in state.items() if key not in odd}
            renamed = {f"{place}.{key}" if key else place: tensor for key, tensor in tensors.items()}
            source = f" ('{prefix}' in the file)" if prefix != place else ""
            return {**kept, **renamed}, [f"'{place}' rebuilt from its tensors{source}: {shown}"]
    return state, []


def head_path(module: nn.Module) -> str:
    """Return the path of the last fully connected layer that is not auxiliary; "" without one."""
    from torch import nn

    layers = [path for path, part in module.named_modules() if isinstance(part, nn.Linear)]
    main = [path for path in layers if "aux" not in path.lower().partition(".")[0]]
    return main[-1] if main else ""


def _containers(module: nn.Module, path: str) -> Iterator[str]:
    """The head's path, and what holds it, as long as it has no convolution."""
    from torch import nn

    while path:
        part = module.get_submodule(path)
        if any(isinstance(inner, (nn.Conv2d, nn.Conv3d)) for inner in part.modules()):
            return
        yield path
        path = path.rpartition(".")[0]


def _width(module: nn.Module, place: str) -> int:
    """What the first fully connected layer of a container takes in."""
    from torch import nn

    layers = [part for part in module.get_submodule(place).modules() if isinstance(part, nn.Linear)]
    return layers[0].in_features


def _candidates(place: str, tensors: State) -> Iterator[tuple[str, State]]:
    """(prefix, tensors without it) of every set that may be the head: under its own path, or a usual one."""
    for prefix in dict.fromkeys([place, *_PLACES]):
        inside = {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
        if inside:
            yield prefix, inside


def _made(tensors: State, width: int) -> tuple[nn.Module | None, str]:
    """The layers that the tensors are for, and a line that lists them; None where they show no such head."""
    from torch import nn

    if set(tensors) <= {"weight", "bias"}:
        layer = _layer(tensors, width)
        return layer, _shown(layer) if isinstance(layer, nn.Linear) else ""
    parts: dict[int, State] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"(\d{1,3})\.(\w+)", name)
        if match is None:
            return None, ""
        parts.setdefault(int(match[1]), {})[match[2]] = tensor
    layers: list[nn.Module] = []
    for index in range(max(parts) + 1):
        if index not in parts:
            layers.append(
                nn.ReLU() if layers and isinstance(layers[-1], (nn.Linear, nn.BatchNorm1d)) else nn.Identity()
            )
            continue
        layer = _layer(parts[index], width)
        if layer is None:
            return None, ""
        layers.append(layer)
        width = layer.out_features if isinstance(layer, nn.Linear) else width
    if not isinstance(layers[-1], nn.Linear):
        return None, ""
    return nn.Sequential(*layers), ", ".join(_shown(layer) for layer in layers if not isinstance(layer, nn.Identity))


def _layer(tensors: State, width: int) -> nn.Module | None:
    """A Linear, BatchNorm1d or LayerNorm with these tensors."""
    import torch
    from torch import nn

    weight: Tensor | None = tensors.get("weight")
    if weight is None or weight.numel() > _LARGEST:
        return None
    with torch.device("meta"):
        if weight.ndim == 2 and weight.shape[1] == width and set(tensors) <= {"weight", "bias"}:
            layer: nn.Module = nn.Linear(width, weight.shape[0], "bias" in tensors)
        elif weight.shape == (width,) and "running_mean" in tensors:
            layer = nn.BatchNorm1d(width)
        elif weight.shape == (width,) and set(tensors) == {"weight", "bias"}:
            layer = nn.LayerNorm(width)
        else:
            return None
    return layer.to_empty(device="cpu")


def _shown(layer: nn.Module) -> str:
    from torch import nn

    if isinstance(layer, nn.Linear):
        return f"Linear {layer.in_features}→{layer.out_features}"
    return "ReLU (assumed)" if isinstance(layer, nn.ReLU) else type(layer).__name__
