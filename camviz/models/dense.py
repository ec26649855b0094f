"""What is different about networks that answer for places: detectors and segmenters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from camviz.types import Preprocessing

if TYPE_CHECKING:
    from torch import nn

    from camviz.models.survey import Seen, Survey

_SURVEYED = 256  # pixels, the short side of what a detector is surveyed with
_PROPOSALS = 8


def transform_of(module: nn.Module) -> Any | None:
    """The part of a torchvision detector that normalises and resizes, None for other networks."""
    transform = getattr(module, "transform", None)
    return transform if all(hasattr(transform, name) for name in ("image_mean", "min_size", "max_size")) else None


def preprocessing_of(module: nn.Module) -> Preprocessing | None:
    """What a torchvision detector wants: values from 0 to 1, at the size to which it would bring them itself.

    So its own resizing leaves the input as it is, and what a view shows is what the network sees. A `longest` that
    is no multiple of the padding is lowered to one.
    """
    transform = transform_of(module)
    if transform is None:
        return None
    how = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    if transform.fixed_size:
        width, height = transform.fixed_size
        return replace(how, crop=(height, width), resize=None)
    short, multiple = transform.min_size[-1], transform.size_divisible
    longest = max(transform.max_size // multiple, 1) * multiple
    mean = tuple(float(level) for level in transform.image_mean)
    fill = mean if len(mean) == 3 else how.fill
    return replace(how, crop=(short, short), resize=short, longest=longest, multiple=multiple, fill=fill)


@contextmanager
def economical(module: nn.Module, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The (height, width) that is enough to survey a network; within the block a detector works small on few boxes."""
    transform = transform_of(module)
    if transform is None or transform.fixed_size:
        yield size
        return
    share = min(1.0, _SURVEYED / min(size))
    small = tuple(max(32, round(side * share / 32) * 32) for side in size)
    changes = [(transform, "min_size", (min(small),)), (transform, "max_size", max(small))]
    if hasattr(module, "rpn"):
        few = {"training": _PROPOSALS, "testing": _PROPOSALS}
        changes += [(module.rpn, "_post_nms_top_n", few), (module.rpn, "_pre_nms_top_n", few)]
    before = [(part, name, getattr(part, name)) for part, name, _ in changes]
    try:
        for part, name, value in changes:
            setattr(part, name, value)
        yield small[0], small[1]
    finally:
        for part, name, value in before:
            setattr(part, name, value)


def trunk(module: nn.Module, seen: Survey) -> Survey:
    """The part of a survey in which the default layer of a detector or a segmenter is to be looked for.

    What all boxes, and all places, are made from: behind it levels part, or classes are already told at each place.
    Of a feature pyramid what feeds its top; of several levels the finest; of a network that widens again (U-Net) its
    coarsest grid. Classifiers keep all their layers.
    """
    layers = seen.layers
    pyramid = next((one.path for one in layers if "FeaturePyramid" in one.kind), "")
    if pyramid:
        return replace(seen, layers=_to_coarsest(_before(layers, pyramid)))
    backbone = tuple(one for one in layers if one.path.startswith("backbone."))
    if transform_of(module) is not None and backbone:
        whole = next((one for one in layers if one.path == "backbone"), None)
        finest = whole.shape[-2:] if whole else ()
        return replace(seen, layers=_finer(backbone, finest))
    if isinstance(seen.output, Mapping) and "pred_boxes" in seen.output:  # DETR: tokens behind it have no grid
        found = [one for one in layers if ".backbone." in f".{one.path}" and "position" not in one.kind.lower()]
        return replace(seen, layers=_without_trunks(tuple(found)) or layers)
    if len(seen.output_shape) == 3:
        return replace(seen, layers=backbone or _before_scores(_to_coarsest(_without_trunks(layers)), seen))
    return seen


def _before_scores(layers: tuple[Seen, ...], seen: Survey) -> tuple[Seen, ...]:
    """Without what comes last and already has a channel for each class."""
    end = len(layers)
    while end and layers[end - 1].shape[:1] == seen.output_shape[:1]:
        end -= 1
    return layers[:end] or layers


def _without_trunks(layers: tuple[Seen, ...]) -> tuple[Seen, ...]:
    """Without modules that hold layers of three grids and more: what they give is not all that comes out of them."""
    grids: dict[str, set[tuple[int, ...]]] = {}
    for one in layers:
        parts = one.path.split(".")
        for end in range(1, len(parts)) if len(one.shape) == 3 else ():
            grids.setdefault(".".join(parts[:end]), set()).add(one.shape[1:])
    return tuple(one for one in layers if len(grids.get(one.path, ())) < 3)


def _before(layers: tuple[Seen, ...], path: str) -> tuple[Seen, ...]:
    """What finished before anything at or below `path` did."""
    found = []
    for one in layers:
        if one.path == path or one.path.startswith(f"{path}."):
            break
        found.append(one)
    return tuple(found)


def _finer(layers: tuple[Seen, ...], finest: tuple[int, ...]) -> tuple[Seen, ...]:
    """Up to the last layer with a grid at least as fine as the finest of several levels."""
    last = max((i for i, one in enumerate(layers) if one.shape[-2:] == finest), default=len(layers) - 1)
    return layers[: last + 1]


def _to_coarsest(layers: tuple[Seen, ...]) -> tuple[Seen, ...]:
    """Up to the last layer of the coarsest grid that is more than one cell, and no summary of a finer one."""
    makers: dict[tuple[int, ...], str] = {}
    for one in layers:
        makers.setdefault(one.shape[1:], one.kind)
    cells = {i: one.shape[1] * one.shape[2] for i, one in enumerate(layers) if len(one.shape) == 3}
    sizes = {size for size, kind in makers.items() if min(size, default=0) > 1 and "AdaptiveAvgPool" not in kind}
    gridded = {i: count for i, count in cells.items() if layers[i].shape[1:] in sizes}
    if not gridded:
        return layers
    return layers[: max(i for i, count in gridded.items() if count == min(gridded.values())) + 1]
