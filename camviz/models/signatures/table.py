"""The table of signatures: one row per architecture, read without torch in a few milliseconds."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
FILE = "table.json.gz"
_FREE = ("encoder.pos_embedding",)  # torchvision's ViT: its length follows the size of the image


@dataclass(frozen=True)
class Head:
    """The tensors that change with the number of classes; `key` has `factor` rows per class ("" without one)."""

    tensors: tuple[str, ...] = ()
    key: str = ""
    factor: int = 1

    @property
    def path(self) -> str:
        """The module that all of it is in, with the dot behind it; "" when it is spread out."""
        paths = {name.rpartition(".")[0] for name in self.tensors}
        return f"{next(iter(paths))}." if len(paths) == 1 and "" not in paths else ""


@dataclass(frozen=True)
class Signature:
    """One architecture: digests of its tensors' names, of their shapes but for what may vary, of its body's names."""

    source: str
    name: str
    task: str
    names: str
    shapes: str
    body: str
    head: Head = Head()
    inputs: tuple[str, ...] = ()  # weights of the first convolutions, whose second size is the input's channels
    classes: int = 0
    size: int = 0  # of the input, 0 when not known
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> str:
        """Return what to type after --model."""
        return self.name if self.source == "torchvision" else f"{self.source}:{self.name}"


def counted(names: Iterable[str]) -> list[str]:
    """Return the names without the counters of batch normalization, which old files do not have."""
    return sorted(name for name in names if not name.endswith("num_batches_tracked"))


def digest_names(names: Iterable[str]) -> str:
    """Return a short digest of a set of names."""
    return _digest(counted(names))


def digest_shapes(shapes: Shapes, head: Head, inputs: Sequence[str]) -> str:
    """Return a short digest of the shapes, except of the head, the input's channels and the position tables."""
    lines = []
    for name in counted(shapes):
        size: tuple[int | str, ...] = shapes[name]
        if name in head.tensors:
            continue
        if name in inputs or name in _FREE:
            size = (size[0], "*", *size[2:])
        lines.append(f"{name} {size}")
    return _digest(lines)


def body_names(names: Iterable[str], head: Head) -> list[str]:
    """Return the names outside the head, and outside whatever is in its place."""
    return [name for name in names if name not in head.tensors and not (head.path and name.startswith(head.path))]


def _digest(lines: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=6).hexdigest()


def pack(signatures: Iterable[Signature], made: Mapping[str, str]) -> bytes:
    """Return the table as a file: the same bytes for the same rows."""
    heads: dict[Head, int] = {}
    rows = []
    for signature in sorted(
        signatures, key=lambda signature: (signature.source != "torchvision", signature.name, signature.names)
    ):
        head = heads.setdefault(signature.head, len(heads))
        digests = (signature.names, signature.shapes, signature.body)
        rows.append(
            [
                signature.source,
                signature.name,
                signature.task,
                *digests,
                head,
                signature.inputs,
                signature.classes,
                signature.size,
                dict(signature.arguments),
            ]
        )
    content = {"made": dict(made), "heads": [[list(h.tensors), h.key, h.factor] for h in heads], "rows": rows}
    return gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0)


@dataclass(frozen=True)
class Table:
    """All signatures, and the versions of the packages they were read from."""

    made: Mapping[str, str]
    rows: tuple[Signature, ...]


@cache
def table() -> Table:
    """Return the table of this installation."""
    content = json.loads(gzip.decompress(files(__package__).joinpath(FILE).read_bytes()))
    heads = [Head(tuple(tensors), key, factor) for tensors, key, factor in content["heads"]]
    return Table(content["made"], tuple(_row(row, heads) for row in content["rows"]))


def _row(row: list[Any], heads: list[Head]) -> Signature:
    source, name, task, names, shapes, body, head, inputs, classes, size, arguments = row
    return Signature(source, name, task, names, shapes, body, heads[head], tuple(inputs), classes, size, arguments)
