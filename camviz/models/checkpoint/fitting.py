"""Tensors given to a model, with an account of what fitted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from camviz.errors import CheckpointError
from camviz.models.checkpoint.dialects import State, variants

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Fit:
    """How a checkpoint met a model, in names of tensors."""

    fitted: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]

    @property
    def counts(self) -> tuple[int, int]:
        """How many of how many tensors of the model came from the checkpoint."""
        return len(self.fitted), len(self.fitted) + len(self.missing) + len(self.reshaped)

    def summary(self) -> str:
        """One line: "122 of 122 tensors fit", then what did not, counted and named."""
        parts = ["{} of {} tensors fit".format(*self.counts)]
        for word, names in (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", self.reshaped),
        ):
            if names:
                parts.append(f"{len(names)} {word} ({_some(names)})")
        return "; ".join(parts)


def _some(names: Iterable[str], count: int = 3) -> str:
    names = list(names)
    return ", ".join(names[:count]) + (", …" if len(names) > count else "")


def fit(module: nn.Module, state: State, source: str, name: str) -> tuple[Fit, list[str]]:
    """Load `state` into `model`, with or without the prefixes that a training program put before its names.

    The classifier's head takes the checkpoint's number of classes, the first convolution its input channels.
    Raises `CheckpointError` when under half of either side fits.
    """
    import torch

    state, notes = adapted(list(module.state_dict()), state)
    followed = follow(module, state)
    own = module.state_dict()
    same = {key for key in state if key in own and state[key].shape == own[key].shape}
    counted = {key for key in own if not key.endswith("num_batches_tracked")}
    result = Fit(
        fitted=tuple(key for key in own if key in same and key in counted),
        missing=tuple(key for key in own if key not in state and key in counted),
        unexpected=tuple(key for key in state if key not in own),
        reshaped=tuple(key for key in state if key in own and key not in same),
    )
    theirs = sum(1 for key in state if not key.endswith("num_batches_tracked"))
    if 2 * len(result.fitted) < max(len(counted), theirs):
        raise CheckpointError(
            f"checkpoint '{source}' does not fit {name}: {result.summary()}",
            "it was made for another model: name that one with --model",
        )
    with torch.no_grad():
        module.load_state_dict({key: state[key] for key in same}, strict=False)
    return result, [*notes, *followed]


def adapted(own: list[str], state: State) -> tuple[State, list[str]]:
    """The variant of `state` that has the most names of `own`, and what was done to the names."""
    names = set(own)
    candidates = [*variants(state), *_prefixed(own, state)]
    return max(candidates, key=lambda one: sum(key in names for key in one[0]))


def _prefixed(own: list[str], state: State) -> Iterator[tuple[State, list[str]]]:
    """The state with the prefixes that all names of the model share: it wraps what was saved."""
    prefix = ""
    while True:
        first = {name[len(prefix) :].partition(".")[0] for name in own}
        if len(first) != 1 or any("." not in name[len(prefix) :] for name in own):
            return
        prefix += f"{first.pop()}."
        yield {f"{prefix}{key}": value for key, value in state.items()}, [f"prefix '{prefix}' put before"]


def follow(module: nn.Module, state: State) -> list[str]:
    """Give the model the number of classes and of input channels that the tensors have; says what changed."""
    return _follow_head(module, state) + _follow_input(module, state)


def _follow_input(module: nn.Module, state: State) -> list[str]:
    """Give the first convolution the channels of the images that the checkpoint was trained on."""
    import torch
    from torch import nn

    for path, part in module.named_modules():
        if not isinstance(part, (nn.Conv2d, nn.Conv3d)):
            continue
        weight = state.get(f"{path}.weight")
        if part.groups > 1 or weight is None or weight.ndim != part.weight.ndim or weight.shape == part.weight.shape:
            return []
        if weight.shape[:1] + weight.shape[2:] != part.weight.shape[:1] + part.weight.shape[2:]:
            return []
        old, new = part.in_channels, weight.shape[1]
        part.weight = nn.Parameter(torch.empty(weight.shape, dtype=part.weight.dtype, device=part.weight.device))
        part.in_channels = new
        return [f"'{path}' takes {new} channel(s) instead of {old}"]
    return []


def _follow_head(module: nn.Module, state: State) -> list[str]:
    """Give the last layers (main and auxiliary heads) the number of classes the checkpoint was trained for."""
    import torch
    from torch import nn

    notes = []
    for path, part in module.named_modules():
        weight = state.get(f"{path}.weight")
        if not isinstance(part, (nn.Linear, nn.Conv2d)) or weight is None or weight.shape == part.weight.shape:
            continue
        if weight.shape[1:] != part.weight.shape[1:] or not _is_head(module, path):
            continue
        old, new = part.weight.shape[0], weight.shape[0]
        part.weight = nn.Parameter(torch.empty(weight.shape, dtype=part.weight.dtype, device=part.weight.device))
        if part.bias is not None:
            part.bias = nn.Parameter(torch.empty(new, dtype=part.bias.dtype, device=part.bias.device))
        if isinstance(part, nn.Linear):
            part.out_features = new
        else:
            part.out_channels = new
        notes.append(f"'{path}' has {new} classes instead of {old}")
    return notes


def _is_head(module: nn.Module, path: str) -> bool:
    """Whether nothing with parameters follows `path` in its own branch of the model."""
    from torch import nn

    weighted = [p for p, part in module.named_modules() if isinstance(part, (nn.Linear, nn.Conv2d))]
    branch = path.partition(".")[0]
    return path in (weighted[-1], [p for p in weighted if p.partition(".")[0] == branch][-1])
