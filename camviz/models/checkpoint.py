"""Somebody's file of weights: read without running anything in it, and fitted to a network with an account."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camviz.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor, nn

State = dict[str, "Tensor"]
SUFFIXES = (".pth", ".pt", ".th", ".tar", ".ckpt", ".bin", ".safetensors")
_NESTS = ("state_dict", "model_state_dict", "model", "net", "network")
_PREFIXES = ("module.",)


def check_file(path: Path) -> None:
    """Refuse, without importing torch, what cannot be a checkpoint: missing, empty, a folder, a web page."""
    if not path.exists():
        raise CheckpointError(f"no checkpoint file '{path}'", "--checkpoint FILE: .pth, .pt, .safetensors")
    if path.is_dir():
        raise CheckpointError(f"checkpoint '{path}' is a folder", "name the file in it")
    if path.stat().st_size == 0:
        raise CheckpointError(f"checkpoint '{path}' is empty (0 bytes)", "copy or download it again")
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise CheckpointError(
            f"checkpoint '{path}' is a web page, not weights",
            "the download went to a page about the file; use its direct address",
        )
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"checkpoint '{path}' is a Git LFS pointer, not weights", "run 'git lfs pull'")


def read_state(path: Path, allow_pickle: bool = False) -> tuple[State, list[str]]:
    """The tensors of a checkpoint by name, and notes of what was taken off on the way to them.

    Reads .safetensors and everything `torch.save` wrote; code inside a pickle runs only with `allow_pickle`.
    """
    check_file(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path, allow_pickle)
    notes: list[str] = []
    if hasattr(content, "state_dict"):
        content = content.state_dict()
        notes.append("a whole pickled network: its state_dict was taken")
    while isinstance(content, Mapping):  # beside a nested state_dict there may be tensors, such as the best accuracy
        nest = next((key for key in _NESTS if isinstance(content.get(key), Mapping)), None)
        if nest is None:
            break
        content = content[nest]
        notes.append(f"taken from '{nest}'")
    state = _tensors(content) if isinstance(content, Mapping) else {}
    if not state:
        raise CheckpointError(
            f"checkpoint '{path}' holds no tensors by name ({_describe(content)})",
            "save model.state_dict() and use that file",
        )
    return _strip(state, notes), notes


def _tensors(content: Mapping[Any, Any]) -> State:
    import torch

    return {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}


def _describe(content: Any) -> str:
    if isinstance(content, Mapping):
        keys = ", ".join(repr(key) for key in list(content)[:5])
        return f"a dict with {keys}" if keys else "an empty dict"
    return f"a {type(content).__name__}"


def _strip(state: State, notes: list[str]) -> State:
    for prefix in _PREFIXES:
        while all(key.startswith(prefix) for key in state):
            state = {key[len(prefix) :]: value for key, value in state.items()}
            notes.append(f"prefix '{prefix}' stripped")
    return state


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"checkpoint '{path}' is not readable as safetensors: {error}", "copy or download it again"
        ) from error


def _read_torch(path: Path, allow_pickle: bool) -> Any:
    import pickle
    import warnings

    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=not allow_pickle)
    except pickle.UnpicklingError as error:
        if allow_pickle or not _is_whole(path):
            raise _damaged(path, error) from error
        wanted = _blocked(str(error))
        raise CheckpointError(
            f"checkpoint '{path}' holds more than tensors{wanted}, and reading that runs code from the file",
            "--allow-pickle reads it, only if you trust whoever made it; safer: save model.state_dict()",
        ) from error
    except (ModuleNotFoundError, AttributeError) as error:
        raise CheckpointError(
            f"checkpoint '{path}' is a pickled object whose code is not here: {error}",
            "where its code is, save model.state_dict(), and use --model net.py:Net --checkpoint FILE",
        ) from error
    except Exception as error:  # the reader of a damaged file fails in many ways
        if "TorchScript" in str(error):
            raise CheckpointError(
                f"checkpoint '{path}' is a TorchScript archive, not a state_dict",
                "save model.state_dict() and use that file",
            ) from error
        raise _damaged(path, error) from error


def _blocked(text: str) -> str:
    """The class that the safe reader refused, out of its long message."""
    found = re.search(r"GLOBAL (\w[\w.]*\w)", text)
    return f" ({found[1]})" if found else ""


def _is_whole(path: Path) -> bool:
    """Whether the file is an archive of torch or holds whole pickles, so that damage is not what stops its reader."""
    import pickletools

    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            return True
        file.seek(0)
        try:
            for _ in range(4):  # torch's old format: magic number, version, machine, content
                if file.tell() < size:
                    for _ in pickletools.genops(file):
                        pass
        except (ValueError, IndexError):
            return False
    return True


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).partition("\n")[0].partition(". ")[0].strip() or type(error).__name__
    if reason.startswith("Weights only"):
        reason = "of no known format"
    return CheckpointError(
        f"checkpoint '{path}' is damaged or not a checkpoint ({len_text(path)}): {reason[:160]}",
        "copy or download it again",
    )


def len_text(path: Path) -> str:
    """A file's size for people."""
    size = float(path.stat().st_size)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


@dataclass(frozen=True)
class Fit:
    """How a checkpoint met a network, in names of tensors."""

    fitted: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]

    def summary(self) -> str:
        """One line: "122 of 122 tensors fit", then what did not, counted and named."""
        total = len(self.fitted) + len(self.missing) + len(self.reshaped)
        parts = [f"{len(self.fitted)} of {total} tensors fit"]
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


def fit(network: nn.Module, state: State, source: str, name: str) -> tuple[Fit, list[str]]:
    """Load `state` into `network`; the classifier's head takes the checkpoint's number of classes.

    Raises `CheckpointError` when under half of either side fits.
    """
    import torch

    notes = _follow_head(network, state)
    own = network.state_dict()
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
            "it was made for another network: name that one with --model",
        )
    with torch.no_grad():
        network.load_state_dict({key: state[key] for key in same}, strict=False)
    return result, notes


def _follow_head(network: nn.Module, state: State) -> list[str]:
    """Give the last layers (main and auxiliary heads) the number of classes the checkpoint was trained for."""
    import torch
    from torch import nn

    notes = []
    for path, part in network.named_modules():
        weight = state.get(f"{path}.weight")
        if not isinstance(part, (nn.Linear, nn.Conv2d)) or weight is None or weight.shape == part.weight.shape:
            continue
        if weight.shape[1:] != part.weight.shape[1:] or not _is_head(network, path):
            continue
        old, new = part.weight.shape[0], weight.shape[0]
        part.weight = nn.Parameter(torch.empty_like(weight, dtype=part.weight.dtype))
        if part.bias is not None:
            part.bias = nn.Parameter(torch.empty(new, dtype=part.bias.dtype))
        if isinstance(part, nn.Linear):
            part.out_features = new
        else:
            part.out_channels = new
        notes.append(f"'{path}' has {new} classes instead of {old}")
    return notes


def _is_head(network: nn.Module, path: str) -> bool:
    """Whether nothing with parameters follows `path` in its own branch of the network."""
    from torch import nn

    weighted = [p for p, part in network.named_modules() if isinstance(part, (nn.Linear, nn.Conv2d))]
    branch = path.partition(".")[0]
    return path in (weighted[-1], [p for p in weighted if p.partition(".")[0] == branch][-1])
