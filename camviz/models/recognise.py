"""Which architecture a file of weights is for, from the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from camviz.models.signatures.table import Head, Shapes, Signature, body_names, counted, digest_names, digest_shapes
from camviz.models.signatures.table import table as installed


@dataclass(frozen=True)
class Match:
    """An architecture that tensors fit, and what they say of it: classes, channels and size of its input.

    0 where they say nothing. `headless`: only the body is there, or something else stands in the head's place.
    """

    signature: Signature
    classes: int
    channels: int
    size: int
    headless: bool = False

    @property
    def spec(self) -> str:
        """What to type for it."""
        return self.signature.spec

    @property
    def arguments(self) -> dict[str, Any]:
        """What its builder needs to make these shapes; the numbers of classes and channels are not among them."""
        known = dict(self.signature.arguments)
        if self.size and self.size != self.signature.size:
            known["image_size"] = self.size
        return known


def recognise(shapes: Shapes, rows: Iterable[Signature] | None = None) -> list[Match]:
    """Every architecture with exactly these tensors, torchvision's first; without one, those that have this body."""
    rows = list(installed().rows if rows is None else rows)
    word = digest_names(shapes)
    whole = [row for row in rows if row.names == word and digest_shapes(shapes, row.head, row.inputs) == row.shapes]
    if whole:
        return [_match(row, shapes) for row in whole]
    found = []
    words: dict[Head, str] = {}
    for row in rows:
        if row.head not in words:
            words[row.head] = digest_names(body_names(shapes, row.head))
        if row.body == words[row.head] and row.head.tensors and len(counted(shapes)) > 4:
            found.append(row)
    return [replace(_match(row, shapes), headless=True) for row in found if _same_body(row, shapes)]


def alike(shapes: Shapes) -> list[Signature]:
    """Architectures whose tensors have the same names, but other shapes: somebody's wider or narrower one."""
    word = digest_names(shapes)
    return [row for row in installed().rows if row.names == word]


def _same_body(row: Signature, shapes: Shapes) -> bool:
    body = {name: shapes[name] for name in body_names(shapes, row.head)}
    return digest_shapes(body, row.head, row.inputs) == row.shapes


def _match(row: Signature, shapes: Shapes) -> Match:
    head = shapes.get(row.head.key, ())
    classes = head[0] // row.head.factor if head else 0
    channels = next((shapes[name][1] for name in row.inputs if name in shapes), 0)
    return Match(row, classes, channels, _size(row, shapes))


def _size(row: Signature, shapes: Shapes) -> int:
    """Of the pictures that a ViT was trained on: its position table has a place for every patch, and one more."""
    positions = shapes.get("encoder.pos_embedding") if row.name.startswith("vit_") else None
    if positions is None or row.source != "torchvision":
        return 0
    side = round((positions[1] - 1) ** 0.5)
    return int(side * shapes[row.inputs[0]][-1])


def preferred(matches: list[Match]) -> tuple[Match | None, list[Match]]:
    """The one to take, None when that cannot be told, and the others.

    timm has its own build of many of torchvision's networks, and variants without tensors of their own; with one
    of torchvision among them that one is meant.
    """
    ours = [match for match in matches if match.signature.source == "torchvision"]
    names = {match.signature.name for match in ours}
    if len(names) == 1 or len(matches) == 1:
        first = (ours or matches)[0]
        return first, [match for match in matches if match.spec != first.spec]
    return None, matches


def shapes_of(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of tensors."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
