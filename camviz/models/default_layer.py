"""Where the default layer of a detector or a segmenter is looked for: in what all its answers are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from camviz.models.detectors import transform_of
from camviz.models.survey import Seen, Survey


def trunk(module: nn.Module, seen: Survey) -> Survey:
    """The part of a survey in which the default layer of a detector or a segmenter is to be looked for.

    What all boxes, and all places, are made from: behind it levels part, or classes are already told at each place.
    Of a feature pyramid what feeds its top; of several levels the finest; of a model that widens again (U-Net) its
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
