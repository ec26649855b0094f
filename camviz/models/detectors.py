"""torchvision's detectors, which normalize and resize their images themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from camviz.types import Preprocessing

if TYPE_CHECKING:
    from torch import nn

_SURVEYED = 256  # pixels, short side of a detector's input in a survey
_PROPOSALS = 8


def detector_of(module: nn.Module) -> tuple[str, Any]:
    """Return the path and the module of torchvision's detector, the model itself or inside it; ("", None) without."""
    for path, part in module.named_modules():
        transform = getattr(part, "transform", None)
        if all(hasattr(transform, name) for name in ("image_mean", "min_size", "max_size")):
            return path, part
    return "", None


def transform_of(module: nn.Module) -> Any | None:
    """Return the transform of a torchvision detector that normalizes and resizes, None for other models."""
    detector = detector_of(module)[1]
    return None if detector is None else detector.transform


def preprocessing_of(module: nn.Module) -> Preprocessing | None:
    """Return the preprocessing of a torchvision detector: values in [0, 1], at the size of its own resizing.

    Its own resizing then changes nothing, and the view is exactly the input. `longest` is rounded down to a multiple
    of the padding.
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
    """Yield a (height, width) sufficient for a survey; within the block a detector uses a small size and few boxes."""
    detector = detector_of(module)[1]
    if detector is None or detector.transform.fixed_size:
        yield size
        return
    transform = detector.transform
    share = min(1.0, _SURVEYED / min(size))
    small = tuple(max(32, round(side * share / 32) * 32) for side in size)
    changes = [(transform, "min_size", (min(small),)), (transform, "max_size", max(small))]
    if hasattr(detector, "rpn"):
        few = {"training": _PROPOSALS, "testing": _PROPOSALS}
        changes += [(detector.rpn, "_post_nms_top_n", few), (detector.rpn, "_pre_nms_top_n", few)]
    before = [(part, name, getattr(part, name)) for part, name, _ in changes]
    try:
        for part, name, value in changes:
            setattr(part, name, value)
        yield small[0], small[1]
    finally:
        for part, name, value in before:
            setattr(part, name, value)
