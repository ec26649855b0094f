"""Which architecture a file of weights is for, from the names and shapes of its tensors."""

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
        """What its builder needs to make these shapes; a classifier's classes and the channels are not among them."""
        known = dict(self.signature.arguments)
        if self.signature.source == "torchvision" and self.resized:
            known["image_size"] = self.size
        if self.signature.task in _BUILT and self.classes not in (0, self.signature.classes):
            known["num_classes"] = self.classes
        return known

    @property
    def resized(self) -> bool:
        """Whether it was trained on images of another size than the architecture is known for."""
        return self.size not in (0, self.signature.size)


def recognize(shapes: Shapes, rows: Iterable[Signature] | None = None) -> list[Match]:
    """Every architecture with exactly these tensors, torchvision's first; without one, those that have this body.

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


def _resized(row: Signature, shapes: Shapes) -> int:
    """The size of images for which the shapes are the row's but for the position table; 0 when they are not."""
    places, patches = shapes.get(_POSITIONS, ()), shapes.get(_PATCHES, ())
    if len(places) != 3 or len(patches) != 4 or not row.size:
        return 0
    side = isqrt(places[1])
    own = row.size // patches[-1]
    known = (places[0], own**2 + places[1] - side**2, places[2])
    fits = digest_shapes({**shapes, _POSITIONS: known}, row.head, row.inputs) == row.shapes
    return int(side * patches[-1]) if fits else 0


def classes_in(name: str, shapes: Shapes) -> int:
    """The classes of tensors for torchvision's `name`, where they belong to how it is built; 0 elsewhere."""
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


def preferred(matches: list[Match], said: Iterable[Any] = ()) -> tuple[Match | None, list[Match]]:
    """The one to take, None when that cannot be told, and the others. `said` is what the file says of itself.

    timm has its own build of many of torchvision's models, and variants without tensors of their own; with one
    of torchvision among them that one is meant.
    """
    words = {text.removeprefix("timm/").partition(".")[0] for text in said if isinstance(text, str)}
    named = [match for match in matches if match.signature.name in words] or matches
    ours = [match for match in named if match.signature.source == "torchvision"]
    names = {match.signature.name for match in ours}
    if len(names) == 1 or len(named) == 1:
        first = (ours or named)[0]
        return first, [match for match in matches if match.spec != first.spec]
    return None, matches


def shapes_of(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of tensors."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
