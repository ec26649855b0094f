"""Recognize a file of weights from outside, without torch, and refuse sizes that cannot be true."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from camviz.errors import CamvizError, CheckpointError
from camviz.models.checkpoint.foreign import is_onnx, refuse_foreign

SUFFIXES = (".pth", ".pt", ".th", ".tar", ".ckpt", ".bin", ".safetensors", ".pt2", ".ptl", ".pkl", ".model")
Kind = Literal["safetensors", "torch", "torchscript", "exported", "pickle"]

_ZIP = b"PK\x03\x04"
_HEADER = 100_000_000  # bytes of a safetensors header; the format's own limit
_RATIO, _SLACK = 20, 16_000_000  # an archive may unpack to so many times its length, and so many bytes more


def check_file(path: Path) -> None:
    """Refuse, without importing torch, what cannot be a checkpoint, or claims sizes that cannot be true.

    Raises `CheckpointError` for a file that is missing, empty, unreadable, a folder, a device, a web page, another
    archive, another program's file, or an archive that unpacks to far more than its length.
    """
    if not path.exists():
        raise CheckpointError(f"no checkpoint file '{path}'", "--checkpoint FILE: .pth, .pt, .ckpt, .safetensors")
    if path.is_dir():
        raise CheckpointError(f"checkpoint '{path}' is a folder", "name the file in it")
    if not path.is_file():
        raise CheckpointError(f"checkpoint '{path}' is not a file", "--checkpoint FILE: .pth, .pt, .ckpt, .safetensors")
    if path.stat().st_size == 0:
        raise CheckpointError(f"checkpoint '{path}' is empty (0 bytes)", "copy or download it again")
    start = _start(path)
    _refuse_downloads(path, start)
    if start.startswith(_ZIP):
        refuse_foreign(path, start, _names(path))
        with readable(path):
            _check_archive(path)
        return
    refuse_foreign(path, start, [])
    if kind_of(path) == "safetensors":
        _check_safetensors(path, start)
    elif start[257:262] == b"ustar" or (path.suffix == ".tar" and tarfile.is_tarfile(path)):
        _refuse_tar(path)


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError as error:
        raise CheckpointError(f"checkpoint '{path}' cannot be read: {error.strerror}", f"ls -l {path}") from error


def _refuse_downloads(path: Path, start: bytes) -> None:
    """Refuse what comes instead of a file when a download goes wrong, or before it is unpacked."""
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise CheckpointError(
            f"checkpoint '{path}' is a web page, not weights",
            "the download went to a page about the file; use its direct address",
        )
    if text.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"checkpoint '{path}' is a Git LFS pointer, not weights", "run 'git lfs pull'")
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf")):
        raise CheckpointError(f"checkpoint '{path}' is compressed", "unpack it, and name the file that was in it")


def holds_onnx(path: Path) -> bool:
    """Return whether the file is an ONNX model by its first bytes."""
    return path.is_file() and is_onnx(_start(path))


def kind_of(path: Path) -> Kind:
    """Return what a file is by its content; its name decides only about what has no mark of its own."""
    start = _start(path)
    if start.startswith(_ZIP):
        names = {name.partition("/")[2] or name for name in _names(path)}
        if "constants.pkl" in names or any(name.startswith("code/") for name in names):
            return "torchscript"
        if "archive_format" in names or "serialized_exported_program.json" in names:
            return "exported"
        return "torch"
    if start[8:9] == b"{" or (path.suffix == ".safetensors" and not start.startswith(b"\x80")):
        return "safetensors"
    return "pickle"


def _names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except Exception:  # a damaged directory: `_check_archive` reports it
        return []


def _check_safetensors(path: Path, start: bytes) -> None:
    size = path.stat().st_size
    header = int.from_bytes(start[:8], "little")
    if len(start) < 9 or not start[8:].lstrip().startswith(b"{"):
        raise CheckpointError(f"checkpoint '{path}' is not readable as safetensors", "copy or download it again")
    if header > _HEADER or header > size - 8:
        raise CheckpointError(
            f"checkpoint '{path}' is not readable as safetensors: its header claims {bytes_text(header)}, "
            f"the file has {bytes_text(size)}",
            "copy or download it again",
        )


def _check_archive(path: Path) -> None:
    """Refuse a zip archive that would unpack to far more than its length, or that is no checkpoint."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    _check_sizes(path, entries)
    names = [entry.filename for entry in entries]
    if any(name.endswith("data.pkl") for name in names) or kind_of(path) != "torch":
        return
    inside = [name for name in names if name.endswith(SUFFIXES)]
    raise CheckpointError(
        f"checkpoint '{path}' is a zip archive of {len(names)} file(s), not of weights", _unpack(path, inside, "unzip")
    )


def _check_sizes(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    size = path.stat().st_size
    claimed = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    false = any(
        entry.compress_type == zipfile.ZIP_STORED and entry.file_size > entry.compress_size for entry in entries
    )
    if claimed > _RATIO * size + _SLACK or packed > size or false:
        raise CheckpointError(
            f"checkpoint '{path}' is an archive of {bytes_text(size)} that claims to unpack to {bytes_text(claimed)}",
            "it is damaged, or made to fill your memory: get the file from somewhere else",
        )


def _refuse_tar(path: Path) -> None:
    try:
        with tarfile.open(path) as archive:
            names = [member.name for _, member in zip(range(1000), archive, strict=False)]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise damaged(path, error) from error
    inside = [name for name in names if name.endswith(SUFFIXES)]
    raise CheckpointError(
        f"checkpoint '{path}' is a tar archive of {len(names)} file(s), not of weights", _unpack(path, inside, "tar xf")
    )


def _unpack(path: Path, inside: list[str], command: str) -> str:
    return f"{command} {path}, then --checkpoint {inside[0] if inside else 'FILE, the weights in it'}"


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Within the block, turn whatever a reader raises on a damaged file into a `CheckpointError`."""
    try:
        yield
    except CamvizError:
        raise
    except MemoryError as error:
        raise CheckpointError(
            f"checkpoint '{path}' ({bytes_text(path.stat().st_size)}) claims more memory than there is",
            "it is damaged, or made to do so: get the file from somewhere else",
        ) from error
    except Exception as error:  # zipfile, pickle, json and torch fail in many ways
        raise damaged(path, error) from error


def check_bounds(path: Path, tensors: Iterable[Any]) -> None:
    """Refuse tensors that reach beyond their storage, or have none: torch does not check all, and copying crashes."""
    for tensor in tensors:
        if str(tensor.layout) != "torch.strided" or tensor.is_meta or not tensor.numel():
            continue
        steps = list(zip(tensor.shape, tensor.stride(), strict=True))
        last = tensor.storage_offset() + sum((size - 1) * stride for size, stride in steps)
        stored = tensor.untyped_storage().nbytes() // tensor.element_size()
        outside = tensor.storage_offset() < 0 or any(stride < 0 for _, stride in steps) or last >= stored
        if outside or not tensor.data_ptr():
            raise damaged(path, ValueError("a tensor claims more than is stored"))


def damaged(path: Path, error: BaseException) -> CheckpointError:
    """Return the error for a file that its reader could not read."""
    reason = str(error).partition("\n")[0].partition(". ")[0].strip() or type(error).__name__
    if reason.startswith("Weights only"):
        reason = "of no known format"
    return CheckpointError(
        f"checkpoint '{path}' is damaged or not a checkpoint ({bytes_text(path.stat().st_size)}): {reason[:160]}",
        "copy or download it again",
    )


def bytes_text(size: float) -> str:
    """Return a number of bytes with a unit, such as "3 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit != "GB" else f"{size:.1f} GB"
        size /= 1000
    return f"{size:.1f} TB"
