"""Restrict the search for the default layer of a detector or segmenter to its backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from camviz.models.detectors import detector_of
from camviz.models.survey import LayerRun, Survey


def trunk(module: nn.Module, seen: Survey) -> Survey:
    """Return the survey restricted to the layers from which all boxes or positions are computed.

    Behind them levels branch, or channels are already class scores. Of a feature pyramid: the layer below its top; of
    several levels: the finest; of a model with a decoder (U-Net): its coarsest grid. Classifiers keep all layers.
    """
    layers = seen.layers
    pyramid = next((run.path for run in layers if "FeaturePyramid" in run.kind), "")
    if pyramid:
        return replace(seen, layers=_to_coarsest(_before(layers, pyramid)))
    path, detector = detector_of(module)
    trunk_path = f"{path}.backbone".lstrip(".")
    backbone = tuple(run for run in layers if run.path.startswith(f"{trunk_path}."))
    if detector is not None and backbone:
        backbone_run = next((run for run in layers if run.path == trunk_path), None)
        finest = backbone_run.shape[-2:] if backbone_run else ()
        return replace(seen, layers=_finer(backbone, finest))
    if isinstance(seen.output, Mapping) and {"pred_boxes", "masks_queries_logits"} & set(seen.output):
        trunks = (".backbone.", ".pixel_level_module.encoder.")  # DETR, MaskFormer: the tokens of queries have no grid
        behind = [run for run in layers if any(name in f".{run.path}" for name in trunks)]
        behind = [run for run in behind if "position" not in run.kind.lower()]
        return replace(seen, layers=_without_trunks(tuple(behind)) or layers)
    if (len(seen.output_shape) == 3 or _is_map(seen)) and seen.task != "embedding":
        return replace(seen, layers=backbone or _before_scores(_to_coarsest(_without_trunks(layers)), seen))
    return seen


def _is_map(seen: Survey) -> bool:
    """Return whether the output is a value per position: (height, width) with the proportions of the input."""
    if len(seen.output_shape) != 2:
        return False
    (height, width), (full_height, full_width) = seen.output_shape, seen.input_size
    return 8 * height >= full_height and abs(height * full_width - width * full_height) <= max(seen.input_size)


def _before_scores(layers: tuple[LayerRun, ...], seen: Survey) -> tuple[LayerRun, ...]:
    """Drop the last layers, which already have a channel per class."""
    end = len(layers)
    while end and layers[end - 1].shape[:1] == seen.output_shape[:1]:
        end -= 1
    return layers[:end] or layers


def _without_trunks(layers: tuple[LayerRun, ...]) -> tuple[LayerRun, ...]:
    """Drop modules with layers of three or more grids inside: their output is not their only result."""
    grids: dict[str, set[tuple[int, ...]]] = {}
    for run in layers:
        parts = run.path.split(".")
        for end in range(1, len(parts)) if len(run.shape) == 3 else ():
            grids.setdefault(".".join(parts[:end]), set()).add(run.shape[1:])
    return tuple(run for run in layers if len(grids.get(run.path, ())) < 3)


def _before(layers: tuple[LayerRun, ...], path: str) -> tuple[LayerRun, ...]:
    """Return the layers that finished before `path` and its children."""
    earlier = []
    for run in layers:
        if run.path == path or run.path.startswith(f"{path}."):
            break
        earlier.append(run)
    return tuple(earlier)


def _finer(layers: tuple[LayerRun, ...], finest: tuple[int, ...]) -> tuple[LayerRun, ...]:
    """Return the layers up to the last one with the finest grid of several levels."""
    last = max((i for i, run in enumerate(layers) if run.shape[-2:] == finest), default=len(layers) - 1)
    return layers[: last + 1]


def _to_coarsest(layers: tuple[LayerRun, ...]) -> tuple[LayerRun, ...]:
    """Return the layers up to the last one with the coarsest grid of more than one cell, pooled summaries excluded."""
    makers: dict[tuple[int, ...], str] = {}
    for run in layers:
        makers.setdefault(run.shape[1:], run.kind)
    cells = {i: run.shape[1] * run.shape[2] for i, run in enumerate(layers) if len(run.shape) == 3}
    sizes = {size for size, kind in makers.items() if min(size, default=0) > 1 and "AdaptiveAvgPool" not in kind}
    gridded = {i: count for i, count in cells.items() if layers[i].shape[1:] in sizes}
    if not gridded:
        return layers
    return layers[: max(i for i, count in gridded.items() if count == min(gridded.values())) + 1]
