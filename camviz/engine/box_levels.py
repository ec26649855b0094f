"""Explain each box of a detector at the layer of its own level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from camviz.types import Layer, Target


def by_level(
    layers: Sequence[Layer], levels: Mapping[int, Layer], targets: Sequence[Target], images: Sequence[int]
) -> Iterator[tuple[Sequence[Layer], list[int]]]:
    """Yield layers with those of the `images` whose targets they explain.

    `levels` are the layers by stride; a target whose fact "stride" is none of them is explained at `layers`.
    """
    groups: dict[int, list[int]] = {}
    for i in images:
        stride = int(targets[i].facts.get("stride", 0))
        groups.setdefault(stride if stride in levels else 0, []).append(i)
    for stride, group in groups.items():
        yield ([levels[stride]] if stride else layers), group
