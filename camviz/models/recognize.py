"""Recognize the architecture that a file of weights is for, by the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

from camviz.models.signatures.table import Head, Shapes, Signature, body_names, counted, digest_names, digest_shapes
from camviz.models.signatures.table import table as installed

_POSITIONS, _PATCHES = "pos_embed", "patch_embed.proj.weight"  # of timm's transformers
_BUILT = ("segmentation", "detection")  # built for their number of classes: it is in more than their last layer


@dataclass(frozen=True)
class Match:
    """An architecture that tensors fit, with the classes, channels and input size that they show.

    0 where they show none. `headless`: only the body is present, or another head in the place of its own.
    """

    signature: Signature
    classes: int
    channels: int
    size: int
    headless: bool = False

    @property
    def spec(self) -> str:
        """Return what to type after --model."""
        return self.signature.spec

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of its builder for these shapes, without the classes and channels of a classifier."""
        known = dict(self.signature.arguments)
        if self.signature.source == "torchvision" and self.resized:
            known["image_size"] = self.size
        if self.signature.task in _BUILT and self.classes not in (0, self.signature.classes):
            known["num_classes"] = self.classes
        return known

    @property
    def resized(self) -> bool:
        """Return whether it was trained on images of another size than the architecture's usual one."""
        return self.size not in (0, self.signature.size)


def recognize(shapes: Shapes, rows: Iterable[Signature] | None = None) -> list[Match]:
    """Return every architecture with exactly these tensors, torchvision's first; else those that have this body.

    Between the two: transformers of timm that differ in nothing but the number of places for patches.
    """
    rows = list(installed().rows if rows is None else rows)
    word = digest_names(shapes)
    whole = [row for row in rows if row.names == word and digest_shapes(shapes, row.head, row.inputs) == row.shapes]
    if whole:
        return [_match(row, shapes) for row in whole]
    resized: dict[str, Match] = {}  # by name without the size, which is no longer that of the name: the nearest
    for row in rows:
        size = _resized(row, shapes) if row.names == word and row.source == "timm" else 0
        stem = row.name.removesuffix(f"_{row.size}")
        if size and (stem not in resized or abs(row.size - size) < abs(resized[stem].signature.size - size)):
            resized[stem] = replace(_match(row, shapes), size=size)
    if resized:
        return list(resized.values())
    bodies = []
    words: dict[Head, str] = {}
    for row in rows:
        if row.head not in words:
            words[row.head] = digest_names(body_names(shapes, row.head))
        if row.body == words[row.head] and row.head.tensors and len(counted(shapes)) > 4:
            bodies.append(row)
    return [replace(_match(row, shapes), headless=True) for row in bodies if _same_body(row, shapes)]


def alike(shapes: Shapes) -> list[Signature]:
    """Return architectures whose tensors have the same names but other shapes: a wider or narrower variant."""
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


def _resized(row: Signature, shapes: Shapes) -> int:
    """The size of images for which the shapes are the row's but for the position table; 0 when they are not."""
    places, patches = shapes.get(_POSITIONS, ()), shapes.get(_PATCHES, ())
    if len(places) != 3 or len(patches) != 4 or not row.size:
        return 0
    side = isqrt(places[1])
    trained = row.size // patches[-1]
    known = (places[0], trained**2 + places[1] - side**2, places[2])
    fits = digest_shapes({**shapes, _POSITIONS: known}, row.head, row.inputs) == row.shapes
    return int(side * patches[-1]) if fits else 0


def classes_in(name: str, shapes: Shapes) -> int:
    """Return the number of classes in tensors for torchvision's `name`, where it is built for it; 0 elsewhere."""
    for row in installed().rows:
        if row.source == "torchvision" and row.name == name and row.task in _BUILT and row.head.key in shapes:
            return shapes[row.head.key][0] // row.head.factor
    return 0


def _size(row: Signature, shapes: Shapes) -> int:
    """Of the images that a ViT was trained on: its position table has a place for every patch, and one more."""
    positions = shapes.get("encoder.pos_embedding") if row.name.startswith("vit_") else None
    if positions is None or row.source != "torchvision":
        return 0
    side = round((positions[1] - 1) ** 0.5)
    return int(side * shapes[row.inputs[0]][-1])


def preferred(matches: list[Match], hints: Iterable[Any] = ()) -> tuple[Match | None, list[Match]]:
    """Return the match to take, None when it is ambiguous, and the other matches. `hints` are settings in the file.

    timm has its own version of many of torchvision's models, and variants with the same tensors; where a model of
    torchvision is among the matches, it is taken.
    """
    words = {text.removeprefix("timm/").partition(".")[0] for text in hints if isinstance(text, str)}
    named = [match for match in matches if match.signature.name in words] or matches
    ours = [match for match in named if match.signature.source == "torchvision"]
    names = {match.signature.name for match in ours}
    if len(names) == 1 or len(named) == 1:
        first = (ours or named)[0]
        return first, [match for match in matches if match.spec != first.spec]
    return None, matches


def shapes_of(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of tensors by name."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
