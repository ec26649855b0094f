"""What a checkpoint holds: tensors by name, and what else it says about the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camviz.errors import CheckpointError, first_of
from camviz.io.texts import as_index
from camviz.models.checkpoint.dialects import State, nested, parts_of, strip
from camviz.models.checkpoint.files import bytes_text, check_bounds, check_file, kind_of, readable
from camviz.models.checkpoint.inert import inert_module, tensors_of
from camviz.models.checkpoint.reading import (
    Classes,
    Stub,
    read_exported_state,
    read_safetensors,
    read_torch,
    runs_code,
)

if TYPE_CHECKING:
    from torch import nn

_SETTINGS = ("hyper_parameters", "hparams", "args", "config")
_LABELS = ("class_names", "classes", "labels", "names", "idx_to_class", "id2label", "class_to_idx", "CLASSES")
_META = ("meta", "dataset_meta", *_SETTINGS)  # where labels may be nested
_QUANTIZED = ("_packed_params", ".zero_point", ".quant_state", ".SCB", ".qweight", ".qzeros")


@dataclass(frozen=True, eq=False)
class Weights:
    """Tensors by name, and notes on how they were found.

    `settings` are the arguments that the model was trained with, as the file has them; `labels` its class names.
    `module` is set when the file held a whole pickled `nn.Module`; `pickled` when only its tensors and its plain
    attributes were read, and nothing of it ran.
    """

    state: State
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    module: nn.Module | None = None
    labels: tuple[str, ...] = ()
    pickled: Stub | None = None


def read_weights(path: Path, allow_pickle: bool = False, key: str = "", classes: Classes | None = None) -> Weights:
    """Return the tensors of a checkpoint by name. Code inside a pickle runs only with `allow_pickle`.

    `key` chooses among several sets of weights ("teacher", "state_dict_ema"); `classes` supplies classes that the
    pickle of a whole model names and that cannot be imported. Raises `CheckpointError` for whatever is not a
    checkpoint, is damaged or would run code.
    """
    check_file(path)
    kind = kind_of(path)
    unknown: list[str] = []
    with readable(path):
        if kind == "safetensors":
            content: Any = read_safetensors(path)
        elif kind == "torchscript":
            from camviz.models.checkpoint.script import read_script

            content = dict(read_script(path, allow_pickle).state_dict())
        elif kind == "exported":
            content = read_exported_state(path)
        else:
            content, unknown = read_torch(path, allow_pickle, classes)
        if kind in ("torchscript", "exported"):
            weights = Weights(*strip(_tensors(content)))
        else:
            weights = _unwrap(path, content, key, unknown)
        check_bounds(path, weights.state.values())
        _check_claims(path, weights.state)
    return weights


def _unwrap(path: Path, content: Any, wanted: str, unknown: list[str]) -> Weights:
    if (pickled := inert_module(content)) is not None:
        labels = names_by_index(getattr(pickled, "names", None))
        return Weights(tensors_of(pickled), [], {}, None, labels, pickled)
    notes: list[str] = []
    settings: dict[str, Any] = {}
    labels = ()
    while isinstance(content, Mapping):  # beside a nested state_dict there may be tensors, such as the best accuracy
        settings = settings or next((_plain(content[key]) for key in _SETTINGS if _plain(content.get(key))), {})
        labels = labels or _labels_in(content)
        if isinstance(content.get("arch"), str):
            settings = {"arch": content["arch"], **settings}
        key, others = nested(content, wanted)
        wanted = "" if key == wanted else wanted
        if not key:
            break
        content = content[key]
        instead = f", not from {_quoted(others)} (--checkpoint-key {others[0]})" if others else ""
        notes.append(f"taken from '{key}'{instead}")
    if wanted:
        raise CheckpointError(
            f"checkpoint '{path}' has no weights under '{wanted}' ({_describe(content)})",
            "--checkpoint-key names a key that holds tensors, or leave it out",
        )
    module = None
    if hasattr(content, "state_dict") and not isinstance(content, (Mapping, Stub)):
        module = content
        content = content.state_dict()
        notes.append("a whole pickled model: its state_dict was taken")
    state = _tensors(content) if isinstance(content, Mapping) else {}
    state = state or (parts_of(content) if isinstance(content, Mapping) else {})
    _refuse_adapters(path, content, state)
    if not state:
        raise _no_tensors(path, content, unknown)
    if unknown:
        notes.append(f"left out objects of unknown classes: {first_of(unknown, 3)}")
    state, more = strip(state)
    return Weights(state, notes + more, settings, module, labels)


def _refuse_adapters(path: Path, content: Any, state: State) -> None:
    """Refuse weights that are not those of a model in floating point: quantized ones and LoRA's differences."""
    names = [str(name) for name in content] if isinstance(content, Mapping) else []
    if any(name.endswith(_QUANTIZED) or ".quant_state." in name for name in names) or any(
        tensor.is_quantized for tensor in state.values()
    ):
        raise CheckpointError(
            f"checkpoint '{path}' holds quantized weights: integers, which have no gradients",
            "use the checkpoint from before quantization; a TorchScript file of the model works with --method rise",
        )
    if any(".lora_" in f".{name}" or "lora_A" in name for name in names):
        raise CheckpointError(
            f"checkpoint '{path}' holds LoRA adapters, not a model",
            "model.merge_and_unload() of peft merges them: save that model's state_dict()",
        )


def _no_tensors(path: Path, content: Any, unknown: list[str]) -> CheckpointError:
    if unknown:
        values = [content, *content.values()] if isinstance(content, Mapping) else [content]
        kinds = [type(value) for value in values if isinstance(value, Stub)]
        return runs_code(path, f"{kinds[0].__module__}.{kinds[0].__name__}" if kinds else first_of(unknown, 3))
    return CheckpointError(
        f"checkpoint '{path}' holds no tensors by name ({_describe(content)})",
        "save model.state_dict() and use that file",
    )


def _quoted(names: list[str]) -> str:
    return " or ".join(f"'{name}'" for name in names[:3])


def _plain(value: Any) -> dict[str, Any]:
    """A mapping or a namespace as a dict of plain values."""
    value = vars(value) if hasattr(value, "__dict__") and not isinstance(value, Mapping) else value
    if not isinstance(value, Mapping):
        return {}
    plain = (bool, int, float, str, list, tuple, dict)
    return {str(key): setting for key, setting in value.items() if isinstance(setting, plain)}


def _labels_in(content: Mapping[Any, Any]) -> tuple[str, ...]:
    """The class names that a training program stored beside the weights."""
    places = [content, *(_plain(content.get(key)) for key in _META)]
    return next((names for place in places for key in _LABELS if (names := names_by_index(place.get(key)))), ())


def names_by_index(value: Any) -> tuple[str, ...]:
    """Return class names by index from a list, {0: name}, {"0": name} or {name: 0}; () for anything else."""
    if isinstance(value, (list, tuple)):
        return tuple(value) if value and all(isinstance(name, str) for name in value) else ()
    if not isinstance(value, Mapping) or not 0 < len(value) < 1_000_000:
        return ()
    by_index = value
    if all(isinstance(index, int) for index in value.values()):
        by_index = {index: name for name, index in value.items()}
    if all(isinstance(key, int) or as_index(str(key)) is not None for key in by_index):
        by_index = {int(key): name for key, name in by_index.items()}
    names = [by_index.get(index) for index in range(len(by_index))]
    return tuple(str(name) for name in names) if all(isinstance(name, str) for name in names) else ()


def _tensors(content: Mapping[Any, Any]) -> State:
    import torch

    return {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}


def _describe(content: Any) -> str:
    if isinstance(content, Mapping):
        keys = ", ".join(repr(key) for key in list(content)[:5])
        return f"a dict with {keys}" if keys else "an empty dict"
    return f"a {type(content).__name__}"


def settings_note(weights: Weights) -> list[str]:
    """Return the hyper-parameters in the file as one line; none when it has none."""
    shown = [f"{key}={_short(value)}" for key, value in weights.settings.items()]
    more = [f"… ({len(shown)} in all)"] if len(shown) > 6 else []
    return [f"hyper-parameters: {', '.join(shown[:6] + more)}"] if shown else []


def _short(value: Any, length: int = 60) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _check_claims(path: Path, state: State) -> None:
    """Refuse tensors that claim to be far larger than the file: copying them would run out of memory."""
    size = path.stat().st_size
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if claimed > 20 * size + 16_000_000:
        raise CheckpointError(
            f"checkpoint '{path}' has {bytes_text(size)}, and its tensors claim {bytes_text(claimed)}",
            "it is damaged, or made to fill your memory: get the file from somewhere else",
        )
