"""What a user must know about a model before trusting a map: batches that mix, layers that run twice, moved inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from torch import Tensor

from camviz.hooks.operations import Call, Trace
from camviz.models.survey import Survey
from camviz.types import Layer

_REDUCTIONS = ("mean", "sum", "std", "var", "amax", "amin", "max", "min", "norm")
_OVER_AXIS = (*_REDUCTIONS, "softmax", "log_softmax", "normalize", "cumsum", "logsumexp", "sort")
_MOVES = {
    "flip": "flipped",
    "fliplr": "flipped",
    "flipud": "flipped",
    "rot90": "rotated",
    "roll": "shifted",
    "grid_sample": "warped",
    "narrow": "cropped",
}
_MIXING = ("conv1d", "conv2d", "conv3d", "linear", "matmul", "__matmul__", "bmm", "einsum")
_SHAPED = ("new_full", "new_zeros", "new_empty", "new_ones", "zeros_like", "ones_like", "full_like", "empty_like")


def cautions(seen: Survey, layers: Sequence[Layer]) -> list[str]:
    """Return what to say about a surveyed model and the layers that are explained."""
    notes = []
    if seen.trace:
        notes += [
            f"the score of an image depends on the others of its batch ({reason}); --batch-size 1 computes them alone"
            for reason in list(_batch_dependence(seen.trace, seen.images))[:1]
        ]
    runs = Counter(run.path for run in seen.layers)
    for layer in layers:
        if runs[layer.path] > 1:
            which = f"run {layer.run}, which sees the image" if layer.run else "its last run"
            notes.append(f"layer {layer.path} runs {runs[layer.path]} times in a forward; the map is of {which}")
    moved = _moved(seen.trace) if seen.trace and layers else ""
    if moved:
        notes.append(f"the model itself has the image {moved} before its first layer; the map is not moved back")
    return notes


def _batch_dependence(trace: Trace, images: int) -> Iterator[str]:
    """Yield why the score of an image depends on its batch, as far as the calls show it."""
    for call in trace.calls:
        where = f" in '{call.site.path}'" if call.site.path else ""
        first = call.tensors[0] if call.tensors else None
        if call.name == "batch_norm" and call.option("training", 5):
            yield f"batch normalization without running statistics{where}"
        elif images > 1 and call.name in _OVER_AXIS and first is not None and _over_images(call, first, images):
            yield f"{call.name}() over the images{where}"
        elif call.name == "multi_head_attention_forward" and first is not None and _attends_images(first, images):
            yield f"attention between the images{where}: batch_first=True is missing"


def _attends_images(query: Tensor, images: int) -> bool:
    """Return whether the sequence of a query (length, batch, d) is that of the images."""
    return query.ndim == 3 and 1 < images == query.shape[0] != query.shape[1]


def _over_images(call: Call, tensor: Tensor, images: int) -> bool:
    """Return whether a reduction or normalization runs over the axis of images."""
    if not call.sources or tensor.ndim < 2 or tensor.shape[0] != images:
        return False
    axes = call.option("dim", 1)
    if axes is None:
        return call.name in _REDUCTIONS and len(call.arguments) < 2
    if not isinstance(axes, (int, tuple, list)):
        return False
    listed = [axes] if isinstance(axes, int) else list(axes)
    return any(isinstance(axis, int) and axis % tensor.ndim == 0 for axis in listed)


def _moved(trace: Trace) -> str:
    """Return what the model does to the places of its input before the first layer, "" for nothing."""
    raw = {trace.calls[0]} if trace.calls else set()
    for call in trace.calls[1:]:
        if not call.sources or call.sources[0] not in raw or call.name in _MIXING + _SHAPED:
            continue
        raw.add(call)
        if call.name in _MOVES:
            return _MOVES[call.name]
        if call.name == "__getitem__" and _cropped(call):
            return "cropped"
    return ""


def _cropped(call: Call) -> bool:
    """Return whether indexing takes a part of the rows or columns, without steps."""
    index = call.arguments[1] if len(call.arguments) > 1 else None
    spatial = index[-2:] if isinstance(index, tuple) and call.tensors[0].ndim == 4 and len(index) >= 3 else ()
    sides = call.tensors[0].shape[-2:] if spatial else ()
    return any(
        isinstance(part, slice) and part.step in (None, 1) and len(range(side)[part]) < side
        for part, side in zip(spatial, sides, strict=True)
    )
