"""Read the content of a file of weights with the library that wrote it."""

from __future__ import annotations

import json
import pickle
import pickletools
import re
import sys
import types
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from camviz.errors import CheckpointError
from camviz.models.checkpoint.files import readable

Classes = Callable[[str], Any]  # the class of a name, None where it is unknown


def read_safetensors(path: Path) -> Any:
    """Return the tensors by name."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"checkpoint '{path}' is not readable as safetensors: {error}", "copy or download it again"
        ) from error


def read_torch(path: Path, allow_pickle: bool, classes: Classes | None = None) -> tuple[Any, list[str]]:
    """Return what `torch.save` wrote, and the names of classes that were replaced by empty ones.

    Without `allow_pickle` nothing in the file runs: classes that nothing here knows become inert. With it the file
    may hold any object; `classes` then supplies those that are not importable, such as the ones of `__main__`.
    """
    import torch

    with readable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not allow_pickle:
            _check_allocations(path)
        unknown = [] if allow_pickle else _unknown_classes(path)
        stubs = [(_stub(name), name) for name in unknown]
        try:  # as an open file: a name that ends in .safetensors would mislead torch
            with torch.serialization.safe_globals([*_harmless(), *stubs]), path.open("rb") as file:
                if allow_pickle:
                    return torch.load(file, map_location="cpu", weights_only=False, pickle_module=_pickle(classes)), []
                return torch.load(file, map_location="cpu", weights_only=True), unknown
        except pickle.UnpicklingError as error:
            if allow_pickle or not _is_whole(path):
                raise
            raise runs_code(path, _blocked(str(error))) from error
        except (ModuleNotFoundError, AttributeError) as error:
            if not allow_pickle:
                raise
            raise CheckpointError(
                f"checkpoint '{path}' is a pickled object whose code is not here: {error}",
                f"--model net.py:NAME --checkpoint {path} gives its class; or save its state_dict()",
            ) from error


def runs_code(path: Path, name: str) -> CheckpointError:
    """Return the error for a file that would have to run `name`."""
    shown = f" ({name})" if name else ""
    return CheckpointError(
        f"checkpoint '{path}' holds more than tensors{shown}, and reading that runs code from the file",
        "--allow-pickle reads it, only if you trust whoever made it; safer: save model.state_dict()",
    )


class Stub:
    """Takes the place of an object whose class is unknown: it keeps its attributes and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Stub:
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Ignore the arguments."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update({key: value for key, value in state.items() if isinstance(key, str)})


def _stub(name: str) -> type[Stub]:
    module, _, last = name.rpartition(".")
    return type(last, (Stub,), {"__module__": module})


def _unknown_classes(path: Path) -> list[str]:
    """The names in a pickle that stubs can replace: of packages and of torch's layers, not of Python itself."""
    import torch
    from torch._weights_only_unpickler import get_globals_in_pkl

    try:
        with torch.serialization.safe_globals(_harmless()):
            if zipfile.is_zipfile(path):
                names = set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
            else:
                with path.open("rb") as file:
                    for _ in range(3):  # torch's old format: magic number, version, machine; then the content
                        for _ in pickletools.genops(file):
                            pass
                    names = get_globals_in_pkl(file) - set(torch._weights_only_unpickler._get_allowed_globals())
    except Exception:  # damaged, or of another protocol: the reader itself reports it
        return []
    return sorted(filter(_stubbed, names), key=lambda name: (name.startswith("torch."), name))


def _stubbed(name: str) -> bool:
    top = name.partition(".")[0]
    if name in _DATA_CLASSES or name.startswith(("torch.nn.", "torch.optim.")):
        return True
    system = {*sys.stdlib_module_names, "posix", "nt", "builtins", "__builtin__", "copy_reg", "torch"} - {"__main__"}
    return "." in name and top not in system


_DATA_CLASSES = {  # of the standard library: they hold values
    "datetime.datetime", "datetime.date", "datetime.timedelta", "collections.deque", "types.SimpleNamespace",
    "logging.Logger", "random.Random", "uuid.UUID", "decimal.Decimal", "fractions.Fraction", "pathlib.WindowsPath",
    "pathlib.PureWindowsPath",
}  # fmt: skip


def _pickle(classes: Classes | None) -> Any:
    """The pickle module, with `classes` for what cannot be imported."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            known = classes(name) if classes is not None and module == "__main__" else None
            if known is not None:
                return known
            try:
                return super().find_class(module, name)
            except (ImportError, AttributeError):
                known = classes(name) if classes is not None else None
                if known is None:
                    raise
                return known

    namespace = types.ModuleType("camviz_pickle")
    namespace.__dict__.update(pickle.__dict__)
    namespace.__dict__["Unpickler"] = Unpickler
    namespace.__dict__["load"] = lambda file, **settings: Unpickler(file, **settings).load()
    return namespace


def _check_allocations(path: Path) -> None:
    """Refuse the only class of torch's restricted reader that fills memory by a number alone: bytearray(10**11)."""
    import mmap

    word = b"bytearray\n"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".pkl")]
            holds_bytearray = any(word in archive.read(name) for name in names)
    else:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            holds_bytearray = content.find(word) >= 0
    if holds_bytearray:
        raise CheckpointError(
            f"checkpoint '{path}' holds more than tensors (bytearray), of any size it likes",
            "--allow-pickle reads it, only if you trust whoever made it; safer: save model.state_dict()",
        )


def _harmless() -> list[Any]:
    """Classes that are often saved beside tensors, and that do nothing when they are made."""
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
    """The class that torch's restricted reader refused, from its message."""
    match = re.search(r"GLOBAL (\w[\w.]*\w)", text)
    return match[1] if match else ""


def _is_whole(path: Path) -> bool:
    """Whether the file is an archive of torch or holds whole pickles, so that damage is not what stops its reader."""
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
    """Return the parameters of a `torch.export` archive, read from its raw records: nothing of it is unpickled."""
    with readable(path), zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].partition("/")[0]
        described = json.loads(archive.read(f"{root}/data/weights/model_weights_config.json"))["config"]
        state = {}
        for name, weight in described.items():
            if weight["use_pickle"]:
                raise runs_code(path, f"a pickle for '{name}'")
            record = bytearray(archive.read(f"{root}/data/weights/{weight['path_name']}"))
            state[name] = _tensor(record, weight["tensor_meta"])
        return state


def _tensor(record: bytearray, described: dict[str, Any]) -> Any:
    import torch
    from torch._export.serde.serialize import _SERIALIZE_TO_TORCH_DTYPE

    dtype = _SERIALIZE_TO_TORCH_DTYPE[described["dtype"]]
    sizes, strides = ([size["as_int"] for size in described[key]] for key in ("sizes", "strides"))
    if not record:
        if 0 not in sizes:
            raise ValueError("a tensor without a record")
        return torch.zeros(sizes, dtype=dtype)
    return torch.frombuffer(record, dtype=dtype).as_strided(sizes, strides, described["storage_offset"]["as_int"])
