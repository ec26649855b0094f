"""The content of a file of weights, by the library that wrote it; whatever goes wrong becomes words."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from camviz.errors import CheckpointError
from camviz.models.checkpoint.files import bytes_text, damaged


def read_safetensors(path: Path) -> Any:
    """Tensors by name."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"checkpoint '{path}' is not readable as safetensors: {error}", "copy or download it again"
        ) from error


def read_torch(path: Path, allow_pickle: bool) -> Any:
    """What `torch.save` wrote, in its new or its old format. Only with `allow_pickle` it may be any object."""
    import pickle
    import warnings

    import torch

    if not allow_pickle:
        _check_allocations(path)
    try:  # as an open file: a name that ends in .safetensors would mislead torch
        with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless()), path.open("rb") as file:
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=not allow_pickle)
    except pickle.UnpicklingError as error:
        if allow_pickle or not _is_whole(path):
            raise damaged(path, error) from error
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
    except MemoryError as error:
        raise CheckpointError(
            f"checkpoint '{path}' ({bytes_text(path.stat().st_size)}) claims more memory than there is",
            "it is damaged, or made to do so: get the file from somewhere else",
        ) from error
    except Exception as error:  # the reader of a damaged file fails in many ways
        raise damaged(path, error) from error


def _check_allocations(path: Path) -> None:
    """Refuse the one harmless class of torch's safe reader that fills memory by a number alone: bytearray(10**11)."""
    import mmap

    word = b"bytearray\n"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".pkl")]
            found = any(word in archive.read(name) for name in names)
    else:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = content.find(word) >= 0
    if found:
        raise CheckpointError(
            f"checkpoint '{path}' holds more than tensors (bytearray), of any size it likes",
            "--allow-pickle reads it, only if you trust whoever made it; safer: save model.state_dict()",
        )


def _harmless() -> list[Any]:
    """Classes that people save beside tensors, and that do nothing when they are made."""
    import argparse
    import collections
    import pathlib

    import numpy as np

    scalar: Any = np.float64(0).__reduce__()[0]
    numbers: list[Any] = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    paths = [pathlib.PosixPath, pathlib.PurePosixPath]
    return [
        argparse.Namespace,
        collections.defaultdict,
        dict,
        np.dtype,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        *numbers,
        *paths,
    ]


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


def read_exported_state(path: Path) -> dict[str, Any]:
    """The parameters of a `torch.export` archive, read from its raw records: nothing of it is unpickled."""
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            root = archive.namelist()[0].partition("/")[0]
            described = json.loads(archive.read(f"{root}/data/weights/model_weights_config.json"))["config"]
            state = {}
            for name, one in described.items():
                if one["use_pickle"]:
                    raise _pickled(path, name)
                record = bytearray(archive.read(f"{root}/data/weights/{one['path_name']}"))
                state[name] = _tensor(torch, record, one["tensor_meta"])
            return state
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError, zipfile.BadZipFile) as error:
        raise damaged(path, error) from error


def _pickled(path: Path, name: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint '{path}' holds a pickle ('{name}'), and reading that runs code from the file",
        "--allow-pickle reads it, only if you trust whoever made it; safer: save model.state_dict()",
    )


def _tensor(torch: Any, record: bytearray, described: dict[str, Any]) -> Any:
    from torch._export.serde.serialize import _SERIALIZE_TO_TORCH_DTYPE

    dtype = _SERIALIZE_TO_TORCH_DTYPE[described["dtype"]]
    sizes, strides = ([one["as_int"] for one in described[key]] for key in ("sizes", "strides"))
    if not record:
        return torch.zeros(sizes, dtype=dtype) if 0 in sizes else None
    return torch.frombuffer(record, dtype=dtype).as_strided(sizes, strides, described["storage_offset"]["as_int"])
