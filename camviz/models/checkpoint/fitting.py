"""Load tensors into a model and report which fitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from camviz.errors import CheckpointError, first_of
from camviz.models.checkpoint.dialects import State, variants
from camviz.models.checkpoint.guesses import looks_like
from camviz.models.checkpoint.heads import head_path, rebuild_head

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Fit:
    """The result of loading a checkpoint into a model, in names of tensors."""

    fitted: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]

    @property
    def counts(self) -> tuple[int, int]:
        """Return how many of how many tensors of the model came from the checkpoint."""
        return len(self.fitted), len(self.fitted) + len(self.missing) + len(self.reshaped)

    def summary(self) -> str:
        """Return one line: "122 of 122 tensors fit", then what did not, counted and named."""
        parts = ["{} of {} tensors fit".format(*self.counts)]
        for word, names in (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", self.reshaped),
        ):
            if names:
                parts.append(f"{len(names)} {word} ({first_of(names, 3)})")
        return "; ".join(parts)


def fit(module: nn.Module, state: State, source: str, name: str) -> tuple[Fit, list[str]]:
    """Load `state` into `module`, with or without the prefixes that a training program put before its names.

    The head takes the checkpoint's number of classes, or is rebuilt from its tensors; the first convolution takes its
    input channels. Raises `CheckpointError` when under half of either side fits, or when layers would stay untrained.
    """
    import torch

    all_tensors = state
    state, notes = adapted(module, state)
    taken = {id(tensor) for tensor in state.values()}
    beside = {key: tensor for key, tensor in all_tensors.items() if id(tensor) not in taken}
    state, rebuilt = rebuild_head(module, state, beside)
    followed = [*rebuilt, *follow(module, state)]
    expected = module.state_dict()
    same = {key for key in state if key in expected and state[key].shape == expected[key].shape}
    counted = {key for key in expected if not key.endswith("num_batches_tracked")}
    result = Fit(
        fitted=tuple(key for key in expected if key in same and key in counted),
        missing=tuple(key for key in expected if key not in state and key in counted),
        unexpected=tuple(key for key in state if key not in expected),
        reshaped=tuple(key for key in state if key in expected and key not in same),
    )
    theirs = sum(1 for key in state if not key.endswith("num_batches_tracked"))
    if 2 * len(result.fitted) < max(len(counted), theirs):
        guess = looks_like(all_tensors)
        raise CheckpointError(
            f"checkpoint '{source}' does not fit {name}: {result.summary()}",
            guess.hint(source) if guess else "it was made for another model: name that one with --model",
        )
    _refuse_untrained(module, result, source, name)
    with torch.no_grad():
        module.load_state_dict({key: state[key] for key in same}, strict=False)
    return result, [*notes, *followed]


def _refuse_untrained(module: nn.Module, result: Fit, source: str, name: str) -> None:
    """Refuse a model whose layers the checkpoint does not have: their maps would be those of random weights."""
    names = [key for key in (*result.missing, *result.reshaped) if _matters(module, key, result.fitted)]
    top = head_path(module).partition(".")[0]
    more = [key for key in result.unexpected if top and key.partition(".")[0] == top]
    if more and not names:
        raise CheckpointError(
            f"checkpoint '{source}' has more layers in its head than {name}: {first_of(more, 3)}",
            "--model net.py:Net, a function that builds the model as it was trained",
        )
    if not names:
        return
    few = first_of(names, 3)
    beside = f"; the file has {first_of(result.unexpected, 3)} instead" if result.unexpected else ""
    raise CheckpointError(
        f"checkpoint '{source}' does not have {few} of {name}: {len(names)} tensor(s) would stay untrained{beside}",
        "--model net.py:Net, a function that builds the model as it was trained; or a checkpoint with all its layers",
    )


def _matters(module: nn.Module, key: str, fitted: tuple[str, ...]) -> bool:
    """Whether the tensor at `key` is used in evaluation and depends on training."""
    expected = module.state_dict()
    if "aux" in key.lower().partition(".")[0]:  # auxiliary heads run in training only
        return False
    tensor = expected[key]
    if any(
        expected[other].data_ptr() == tensor.data_ptr() for other in fitted if expected[other].shape == tensor.shape
    ):
        return False  # one tensor under two names
    if key.endswith(("running_mean", "running_var")):
        return True
    if key not in dict(module.named_parameters()):
        return False  # computed when the model was built
    return tensor.ndim > 1 or tensor.is_meta or bool((tensor != tensor.flatten()[:1]).any())


def adapted(module: nn.Module, state: State) -> tuple[State, list[str]]:
    """Return the variant of `state` that has the most names of the model, and what was done to the names."""
    expected = list(module.state_dict())
    names = set(expected)
    children = [name for name, _ in module.named_children()]
    candidates = [*variants(state), *_prefixed(expected, state)]
    candidates += [candidate for chosen in variants(state) for candidate in _numbered(children, *chosen)]
    return max(candidates, key=lambda candidate: sum(key in names for key in candidate[0]))


def _numbered(children: list[str], state: State, notes: list[str]) -> Iterator[tuple[State, list[str]]]:
    """The state with the names of the model's children for numbers: saved from Sequential(*model.children())."""
    numbers = {key.partition(".")[0] for key in state}
    if not any(number.isdecimal() for number in numbers):
        return
    renamed = {}
    for key, tensor in state.items():
        first, dot, rest = key.partition(".")
        index = int(first) if first.isdecimal() and len(first) < 4 else len(children)
        renamed[f"{children[index]}{dot}{rest}" if index < len(children) else key] = tensor
    yield renamed, [*notes, "numbers in names read as the model's children, in their order"]


def _prefixed(expected: list[str], state: State) -> Iterator[tuple[State, list[str]]]:
    """The state with the prefixes that all names of the model share: it wraps what was saved."""
    prefix = ""
    while True:
        first = {name[len(prefix) :].partition(".")[0] for name in expected}
        if len(first) != 1 or any("." not in name[len(prefix) :] for name in expected):
            return
        prefix += f"{first.pop()}."
        yield {f"{prefix}{key}": value for key, value in state.items()}, [f"prefix '{prefix}' put before"]


def follow(module: nn.Module, state: State) -> list[str]:
    """Give the model the number of classes and of input channels that the tensors have; return notes on the changes."""
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
