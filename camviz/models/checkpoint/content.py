"""What a checkpoint holds: tensors by name, and what else is worth knowing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camviz.errors import CheckpointError
from camviz.models.checkpoint.dialects import State, nested, strip
from camviz.models.checkpoint.files import bytes_text, check_file, kind_of
from camviz.models.checkpoint.reading import read_exported_state, read_safetensors, read_torch

if TYPE_CHECKING:
    from torch import nn

_SETTINGS = ("hyper_parameters", "hparams", "args", "config")


@dataclass(frozen=True, eq=False)
class Weights:
    """Tensors by name and notes of what was taken off on the way to them.

    `settings` are the arguments that the file says the model was made with; `model` is there when the file
    held a whole one: an `nn.Module` out of a pickle.
    """

    state: State
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    module: nn.Module | None = None


def read_weights(path: Path, allow_pickle: bool = False) -> Weights:
    """The tensors of a checkpoint by name. Code inside a pickle runs only with `allow_pickle`."""
    check_file(path, allow_pickle)
    kind = kind_of(path)
    if kind == "safetensors":
        content: Any = read_safetensors(path)
    elif kind == "torchscript":
        from camviz.models.checkpoint.script import read_script

        content = dict(read_script(path).state_dict())
    elif kind == "exported":
        content = read_exported_state(path)
    else:
        content = read_torch(path, allow_pickle)
    if kind in ("torchscript", "exported"):
        return Weights(*strip(_tensors(content)))
    weights = _unwrap(path, content)
    _check_claims(path, weights.state)
    return weights


def _unwrap(path: Path, content: Any) -> Weights:
    notes: list[str] = []
    settings: dict[str, Any] = {}
    module = None
    while isinstance(content, Mapping):  # beside a nested state_dict there may be tensors, such as the best accuracy
        settings = settings or next((_plain(content[key]) for key in _SETTINGS if _plain(content.get(key))), {})
        if isinstance(content.get("arch"), str):
            settings = {"arch": content["arch"], **settings}
        key, chosen = nested(content)
        if not key:
            break
        content = content[key]
        notes.append(f"EMA weights taken from '{key}', not the raw ones" if chosen else f"taken from '{key}'")
    if hasattr(content, "state_dict"):
        module = content
        content = content.state_dict()
        notes.append("a whole pickled model: its state_dict was taken")
    state = _tensors(content) if isinstance(content, Mapping) else {}
    if not state:
        raise CheckpointError(
            f"checkpoint '{path}' holds no tensors by name ({_describe(content)})",
            "save model.state_dict() and use that file",
        )
    state, more = strip(state)
    return Weights(state, notes + more, settings, module)


def _plain(value: Any) -> dict[str, Any]:
    """A mapping or a namespace as a dict of what can be written down."""
    value = vars(value) if hasattr(value, "__dict__") and not isinstance(value, Mapping) else value
    if not isinstance(value, Mapping):
        return {}
    return {str(key): one for key, one in value.items() if isinstance(one, (bool, int, float, str, list, tuple, dict))}


def _tensors(content: Mapping[Any, Any]) -> State:
    import torch

    return {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}


def _describe(content: Any) -> str:
    if isinstance(content, Mapping):
        keys = ", ".join(repr(key) for key in list(content)[:5])
        return f"a dict with {keys}" if keys else "an empty dict"
    return f"a {type(content).__name__}"


def settings_note(weights: Weights) -> list[str]:
    """The hyper-parameters that the file tells of, in one line; none when it tells of none."""
    shown = [f"{key}={_short(value)}" for key, value in weights.settings.items()]
    more = [f"… ({len(shown)} in all)"] if len(shown) > 6 else []
    return [f"hyper-parameters: {', '.join(shown[:6] + more)}"] if shown else []


def _short(value: Any, length: int = 60) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _check_claims(path: Path, state: State) -> None:
    """Refuse tensors that say they are far larger than the file: whoever copies them runs out of memory."""
    size = path.stat().st_size
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if claimed > 20 * size + 16_000_000:
        raise CheckpointError(
            f"checkpoint '{path}' has {bytes_text(size)}, and its tensors claim {bytes_text(claimed)}",
            "it is damaged, or made to fill your memory: get the file from somewhere else",
        )
