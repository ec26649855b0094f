"""Further arguments of a forward beside the batch of images: a second image, an array, a number.

`--input after=after.png` is one value for all images, `--input after=FOLDER` one per image, found by its name.
"""

from __future__ import annotations

import ast
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camviz.errors import InputError, RequestError, unknown
from camviz.io.images import read_image
from camviz.io.opening import SUFFIXES
from camviz.types import Image, Model

if TYPE_CHECKING:
    from torch import Tensor

_ARRAYS = (".npy", ".npz", ".pt", ".pth")
_FORMS = "NAME=second.png, NAME=array.npy, NAME=FOLDER with a file per image, or NAME=0.5"


@dataclass(frozen=True, eq=False)
class ExtraInput:
    """The argument `name` of a forward: `value`, or with `read` another value for each image, like `value`.

    A value is an `Image`, which is preprocessed as the first, a tensor without the axis of images, or anything else.
    """

    name: str
    value: Any
    text: str
    read: Callable[[Image], Any] | None = None


def check_inputs(texts: Sequence[tuple[str, str]]) -> None:
    """Raise `RequestError` for an --input that names no file, folder or number; imports no torch."""
    for name, text in texts:
        if not Path(text).exists() and _literal(text) is _NOTHING:
            raise RequestError(f"--input {name}={text}: no file '{text}'", _FORMS)
        if Path(text).is_file() and Path(text).suffix.lower() not in (*SUFFIXES, *_ARRAYS):
            raise RequestError(f"--input {name}={text}: neither an image nor an array", _FORMS)


def with_inputs(model: Model, given: Mapping[str, Any]) -> Model:
    """Return the model, whose forward gets the values of `given` by their names from now on, with a note about each.

    Raises `RequestError` for a value that cannot be read, and for a name that the forward does not have.
    """
    if not given:
        return model
    from camviz.models.adapters import adapt

    _check_names(model, list(given))
    extra = [_input(name, value) for name, value in given.items()]
    pixels = frozenset(item.name for item in extra if isinstance(item.value, Image))
    adapt(model.module, extra=extra, pixels=pixels, values=_samples(extra))
    return replace(model, notes=(*model.notes, *(f"input {item.name}: {item.text}" for item in extra)))


def batch_size(model: Model, requested: int = 0, default: int = 0) -> int:
    """Return the number of images per forward: one where inputs have a value per image."""
    from camviz.hooks.devices import default_batch_size
    from camviz.models.adapters import adapter_of

    if any(item.read for item in adapter_of(model.module).extra):
        return 1
    return requested or default or default_batch_size(model.device)


@contextmanager
def inputs_of(model: Model, images: Sequence[Image], fit: str = "model") -> Iterator[None]:
    """Within the block forwards get the inputs that belong to these images. Raises `InputError` where one has none."""
    from camviz.models.adapters import adapter_of

    adapter = adapter_of(model.module)
    extra: Sequence[ExtraInput] = adapter.extra
    if not extra:
        yield
        return
    before = adapter.values
    try:
        adapter.values = {item.name: _stacked(item, model, images, fit) for item in extra}
        yield
    finally:
        adapter.values = before


def _stacked(item: ExtraInput, model: Model, images: Sequence[Image], fit: str) -> Any:
    """Return the value of an input for images: a tensor (n, …), (1, …) for all, or what is passed as it is."""
    import torch

    from camviz.models.preprocess import prepare

    rows = [item.read(image) for image in images] if item.read else [item.value]
    if isinstance(item.value, Image):
        rows = [torch.from_numpy(prepare(row, model.preprocessing, fit)[0]) for row in rows]
    if not all(isinstance(row, torch.Tensor) for row in rows):
        return rows[0]
    if len({row.shape for row in rows}) > 1:
        raise InputError(f"input '{item.name}' has other shapes for other images", "--batch-size 1")
    return torch.stack(rows)


def _samples(extra: Sequence[ExtraInput]) -> dict[str, Any]:
    """Return the values for forwards without an image, such as a survey."""
    import torch

    return {item.name: item.value[None] if isinstance(item.value, torch.Tensor) else item.value for item in extra}


def _check_names(model: Model, names: Sequence[str]) -> None:
    from camviz.models.adapters import adapter_of

    functions = [model.module.forward, adapter_of(model.module).inputs]
    known: dict[str, inspect.Parameter] = {}
    for function in functions:
        try:
            known |= inspect.signature(function).parameters if callable(function) else {}
        except (TypeError, ValueError):  # compiled code
            return
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for name in names:
        if name not in known:
            raise unknown("argument", name, known, f"the forward of {model.name}")


def _input(name: str, given: Any) -> ExtraInput:
    """Return the input for a file, folder, literal, array, mapping by image name, or function of an image."""
    if isinstance(given, (str, Path)):
        path, literal = Path(given), _literal(str(given))
        if path.is_dir():
            return _of_folder(name, path)
        if not path.is_file() and literal is not _NOTHING:
            return ExtraInput(name, _tensor(literal), f"{given} for all images")
        given = _read(path, name)
        if not isinstance(given, Mapping):
            return ExtraInput(name, given, f"{path}{_shape(given)} for all images")
    if isinstance(given, Mapping):
        values = {str(key): _tensor(value) for key, value in given.items()}

        def find(image: Image) -> Any:
            for key in (image.name, Path(image.name).stem):
                if key in values:
                    return values[key]
            raise InputError(f"no input '{name}' for '{image.name}'", f"it has {', '.join(list(values)[:4])}")

        return ExtraInput(name, next(iter(values.values())), f"by image, {len(values)} values", find)
    if callable(given) and not hasattr(given, "shape"):
        gray = Image(np.full((64, 64, 3), 128, np.uint8))
        return ExtraInput(name, _tensor(given(gray)), "by image", lambda image: _tensor(given(image)))
    value = _tensor(given)
    return ExtraInput(name, value, f"a value{_shape(value)} for all images")


def _of_folder(name: str, folder: Path) -> ExtraInput:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (*SUFFIXES, *_ARRAYS))
    if not files:
        raise RequestError(f"--input {name}={folder}: no image and no array in this folder", _FORMS)
    by_stem: dict[str, Path] = {os.fspath(path.relative_to(folder).with_suffix("")): path for path in files}

    def find(image: Image) -> Any:
        parts = image.path.with_suffix("").parts if image.path else ()
        for start in range(len(parts)):
            path = by_stem.get(os.path.join(*parts[start:]))
            if path:
                return _read(path, name)
        raise InputError(
            f"no input '{name}' for '{image.name}' in '{folder}'", f"a file {Path(image.name).stem}.* there"
        )

    return ExtraInput(name, _read(files[0], name), f"by image, {len(files)} files in {folder}", find)


def _read(path: Path, name: str) -> Any:
    """Return an `Image`, a tensor, or a mapping of tensors by image. Raises `InputError`."""
    if path.suffix.lower() not in _ARRAYS:
        return read_image(path)
    from camviz.models.checkpoint.files import check_file
    from camviz.models.checkpoint.reading import read_torch

    try:
        if path.suffix.lower() in (".pt", ".pth"):
            check_file(path)
            content, _ = read_torch(path, allow_pickle=False)
        else:
            content = np.load(path, allow_pickle=False)
            content = dict(content) if path.suffix.lower() == ".npz" else content
    except Exception as error:  # whatever a damaged or foreign file raises
        first = str(error).partition("\n")[0]
        raise InputError(
            f"--input {name}: cannot read '{path}': {first}", "numpy.save or torch.save an array"
        ) from error
    if isinstance(content, Mapping) and len(content) == 1:
        content = next(iter(content.values()))
    return content if isinstance(content, Mapping) else _tensor(content)


_NOTHING = object()


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return _NOTHING


def _tensor(value: Any) -> Any:
    """Return numbers, lists and arrays as tensors, and PIL images as `Image`s; anything else stays."""
    import torch

    if hasattr(value, "convert") and hasattr(value, "mode"):
        from camviz.io.images import decoded

        return decoded(value)
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, float, list, tuple)):
        return torch.tensor(value)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    return value


def _shape(value: Any) -> str:
    shape: Tensor | Any = getattr(value, "shape", None)
    return f" ({'×'.join(map(str, shape)) or 'one number'})" if shape is not None else ""
