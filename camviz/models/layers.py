"""Which layers a model has, which one a path means, and which one to look at when nobody said."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from camviz.errors import ModelError, unknown
from camviz.models.default_layer import trunk
from camviz.models.layout import Layouts
from camviz.models.survey import Seen, Survey, survey
from camviz.types import Layer, Model

_POOLING = ("MaxPool", "AvgPool", "LPPool", "FractionalMaxPool")
_REARRANGING = ("Permute", "Identity", "Dropout", "Flatten", "StochasticDepth")


def find_layers(model: Model, patterns: Sequence[str], seen: Survey | None = None) -> list[Layer]:
    """The layers that the patterns mean, in the order of the patterns; the default one without any.

    A pattern is a dotted path; a part of it may be a negative index (`layer4.-1`) or a glob (`features.*`).
    Raises `UnknownName` for a path that is not there, `ModelError` for one whose output has no grid.
    """
    seen = seen or survey(model.module, model.preprocessing.crop, model.name)
    if not patterns:
        return [default_layer(model, seen)]
    found: dict[str, Layer] = {}
    for pattern in patterns:
        for layer in _match(model, seen, pattern):
            found.setdefault(layer.path, layer)
    return list(found.values())


def list_layers(model: Model, seen: Survey) -> list[tuple[Seen, Layer | None]]:
    """Every layer that ran, with its `Layer` where its output has a grid."""
    layouts = Layouts(model.module, seen)
    latest = {one.path: one for one in seen.layers}
    return [(one, layouts.layer(one)) for one in latest.values()]


def default_layer(model: Model, seen: Survey) -> Layer:
    """The last spatial stage before pooling.

    Behind the last attention of a model with a class token the patch tokens get no gradient: there it is the norm
    before that. Pooling, rearranging, the insides of attention and class-score maps (SqueezeNet) are passed over. Of a
    detector or a segmenter it is the last one that everything is made from.
    """
    seen = trunk(model.module, seen)
    gridded = [(one, layer) for one, layer in list_layers(model, seen) if layer and _spatial(layer, seen)]
    kinds: dict[int, list[str]] = {}  # of the modules that gave one and the same tensor, its maker first
    for one in seen.layers:
        kinds.setdefault(one.output, []).append(one.kind)
    headless = not any(isinstance(part, nn.Linear) for part in model.module.modules())
    attentions = [one.path for one in seen.layers if _is_attention(one)]
    outside = [(one, layer) for one, layer in gridded if not _within(one.path, attentions)]
    chosen = None
    for one, layer in outside or gridded:
        made = (channels_of(layer),) == seen.output_shape
        scores = made and (headless if layer.layout in ("plain", "clip") else one.kind == "Linear")
        pooled = any(pool in kinds[one.output][0] for pool in _POOLING)
        rearranged = all(kind.endswith(_REARRANGING) for kind in kinds[one.output])
        if not (scores or pooled or rearranged):
            chosen = one
    if chosen is None:
        raise ModelError(
            f"no layer of {model.name} has a grid of more than one cell, so there is nothing to draw a map from",
            f"'camviz layers {model.name}' shows what its layers give",
        )
    layers = {one.path: layer for one, layer in gridded}
    before = layers.get(_before_last_attention(seen, layers) or "")
    last = layers[chosen.path]
    if before and (last.prefix or (before.prefix and grid(before, seen.input_size) == grid(last, seen.input_size))):
        return before
    return layers[_stage(model, seen, chosen)]


def stages(model: Model) -> list[Layer]:
    """The way through a model: the last layer of every resolution up to the default layer, first to last.

    A model that keeps one resolution, as transformers do, gives up to six of its blocks, evenly spaced.
    """
    seen = survey(model.module, model.preprocessing.crop, model.name)
    last = default_layer(model, seen)
    found = [*stages_before(model, seen, last), last]
    if len(found) > 2:
        return found
    blocks: dict[str, list[Layer]] = {}
    for one, layer in list_layers(model, seen):
        if layer and _spatial(layer, seen):
            blocks.setdefault(one.path.rpartition(".")[0], []).append(layer)
    longest = max(blocks.values(), key=len)
    step = max(1, (len(longest) - 1) / 5)
    return longest if len(longest) <= 6 else [longest[round(i * step)] for i in range(6)]


def stages_before(model: Model, seen: Survey, layer: Layer) -> list[Layer]:
    """For every resolution finer than the layer's: the last layer of it that the layer is computed from, outermost."""
    listed = {one.path: other for one, other in list_layers(model, seen)}
    own = grid(layer, seen.input_size)
    last: dict[tuple[int, int], Seen] = {}
    for one in seen.layers:
        if one.path == layer.path:
            break
        other = listed[one.path]
        size = grid(other, seen.input_size) if other else (0, 0)
        if other and size[0] * size[1] > own[0] * own[1] and _keeps_size(one.path, layer.path, size, listed, seen):
            last[size] = one
    found: list[Layer] = []
    finest = float("inf")
    for size, one in last.items():
        if size[0] * size[1] > finest:
            continue  # windows and the like, that only look like a finer grid
        finest = size[0] * size[1]
        same = [other for other in seen.layers if other.output == one.output and listed[other.path]]
        stage = listed[min(same, key=lambda other: other.path.count(".")).path]
        if stage:
            found.append(stage)
    return found


def _keeps_size(path: str, target: str, size: tuple[int, int], listed: dict[str, Layer | None], seen: Survey) -> bool:
    """Whether `path` is no inner part of a block that ends at another resolution.

    What holds `target`, or layers of three resolutions and more, is a trunk, not a block.
    """
    if target.startswith(f"{path}."):
        return False
    parts = path.split(".")
    for end in range(1, len(parts) + 1):
        outer = ".".join(parts[:end])
        layer = listed.get(outer)
        if not layer or target.startswith(f"{outer}.") or grid(layer, seen.input_size) == size:
            continue
        inside = {grid(one, seen.input_size) for other, one in listed.items() if one and other.startswith(f"{outer}.")}
        if len(inside - {(1, 1)}) < 3:
            return False
    return True


def _stage(model: Model, seen: Survey, chosen: Seen) -> str:
    """The outermost module that ends in `chosen`'s output, unless that module also did the downsampling."""
    same = [one for one in seen.layers if one.output == chosen.output]
    path = min(same, key=lambda one: (one.path.count("."), -seen.layers.index(one))).path
    while True:
        children = _below(seen, path)
        inside = [one for one in children if one.output == chosen.output]
        if len({one.shape[-2:] for one in children}) < 2 or not inside:
            return path
        path = inside[-1].path


def _below(seen: Survey, path: str) -> list[Seen]:
    """The layers right below `path`: what only holds others (a list of blocks) does not run, and does not count."""
    inside = [one for one in seen.layers if one.path.startswith(f"{path}.")]
    ran = {one.path for one in inside}

    def holder(inner: str) -> str:
        outer = inner.rpartition(".")[0]
        return outer if outer == path or outer in ran else holder(outer)

    return [one for one in inside if holder(one.path) == path]


def _before_last_attention(seen: Survey, layers: dict[str, Layer]) -> str | None:
    """The outermost layer that gives what the last attention takes in."""
    for attention in reversed(seen.layers):
        if not _is_attention(attention):
            continue
        feeding = [one for one in seen.layers if one.output == attention.input and one.path in layers]
        if not feeding:  # given by keyword, or rearranged on the way: what finished before its first part did
            inside = [i for i, one in enumerate(seen.layers) if one.path.startswith(f"{attention.path}.")]
            feeding = [one for i in inside[:1] for one in seen.layers[max(0, i - 1) : i] if one.path in layers]
        if feeding:
            return min(feeding, key=lambda one: one.path.count(".")).path
    return None


def _within(path: str, outer: Sequence[str]) -> bool:
    return any(path.startswith(f"{other}.") for other in outer)


def _is_attention(one: Seen) -> bool:
    words = (one.kind.lower(), one.path.rpartition(".")[2].lower())
    return any(word in text for text in words for word in ("attention", "attn"))


def _match(model: Model, seen: Survey, pattern: str) -> list[Layer]:
    paths = expand(model, pattern)
    listed = {one.path: layer for one, layer in list_layers(model, seen)}
    gridded = [layer for path in paths if (layer := listed.get(path)) is not None]
    if gridded:
        return gridded
    path = paths[0]
    near = _nearest_gridded(path, listed, seen)
    hint = f"'{near}' has one; 'camviz layers {model.name}' lists all" if near else ""
    if path not in listed:
        raise ModelError(f"layer '{path}' does not run in a forward of {model.name}", hint)
    if path in Layouts(model.module, seen).scattered:
        raise ModelError(
            f"the tokens of layer '{path}' of {model.name} lie in mask units, not in the order of places",
            f"those of '{default_layer(model, seen).path}' do; 'camviz layers {model.name}' lists all",
        )
    shape = "×".join(str(size) for size in (seen.find(path) or seen.layers[0]).shape)
    raise ModelError(f"layer '{path}' of {model.name} gives {shape}: no grid to draw a map on", hint)


def _nearest_gridded(path: str, listed: dict[str, Layer | None], seen: Survey) -> str:
    """The last layer with a grid that finished before `path`, or the very last."""
    last = ""
    for other, layer in listed.items():
        if other == path and last:
            break
        if layer and _spatial(layer, seen):
            last = other
    return last


def expand(model: Model, pattern: str) -> list[str]:
    """All module paths that a pattern means, in the model's order; raises `UnknownName`."""
    found = [""]
    for part in pattern.split("."):
        found = [path for parent in found for path in _children(model.module, parent, part)]
    found = [path for path in found if path]
    if not found:
        known = [path for path, _ in model.module.named_modules() if path]
        raise unknown("layer", pattern, known, model.name, f"'camviz layers {model.name}'")
    return found


def _children(module: nn.Module, parent: str, part: str) -> list[str]:
    names = [name for name, _ in module.get_submodule(parent).named_children()]
    if part.startswith("-") and part[1:].isdigit():
        names = names[int(part) :][:1] if int(part[1:]) <= len(names) else []
    else:
        names = [name for name in names if fnmatchcase(name, part)]
    return [f"{parent}.{name}" if parent else name for name in names]


def _spatial(layer: Layer, seen: Survey) -> bool:
    height, width = grid(layer, seen.input_size)
    return height * width > 1


def grid(layer: Layer, input_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the layer's maps as surveyed."""
    if layer.layout == "plain":
        return layer.shape[1], layer.shape[2]
    if layer.layout == "channels_last":
        return layer.shape[0], layer.shape[1]
    if layer.layout in ("clip", "clip_last"):
        steps, height, width = layer.shape[1:] if layer.layout == "clip" else layer.shape[:3]
        return steps * height, width
    return layer.cells(layer.shape[0], input_size)


def channels_of(layer: Layer) -> int:
    """How many channels the layer's maps have."""
    return layer.shape[0] if layer.layout in ("plain", "clip") else layer.shape[-1]
